"""Explanations, previews and undelivered events in responses."""

from typing import Any

from daemon.admin import schemas
from daemon.core.matching.mismatch import ConditionMismatch, Mismatch, TypeMismatch
from daemon.core.model.explanations import Explanation, Pause
from daemon.core.model.undelivered import UndeliveredEvent
from daemon.core.unprintable import escape
from daemon.core.wire.event_ids import public_event_id
from daemon.explain.explainer import ExplainedDelivery
from daemon.explain.filter_preview import FilterPreview, PreviewedEvent


def explanation_response(explained: ExplainedDelivery) -> schemas.Explanation:
    """Show what became of an event at a webhook."""
    return schemas.Explanation(**_members(explained))


def outcome_response(explained: ExplainedDelivery) -> schemas.EventOutcome:
    """Show what became of an event at one of several webhooks."""
    return schemas.EventOutcome(**_members(explained), webhook_name=explained.webhook.name)


def preview_response(preview: FilterPreview) -> schemas.FilterPreview:
    """Show how many events a subscription matches, with examples."""
    return schemas.FilterPreview(
        looked=preview.looked,
        matched=preview.matched,
        skipped=preview.skipped,
        looked_up_to=None if preview.oldest is None else preview.oldest.created_at,
        examples=[_previewed(each) for each in preview.examples],
    )


def undelivered_response(event: UndeliveredEvent) -> schemas.UndeliveredEvent:
    """Show an event that was not delivered."""
    return schemas.UndeliveredEvent(
        id=event.event.id,
        message_id=public_event_id(event.event.id),
        type=event.event.type,
        created_at=event.created_at,
        outcome=event.explanation.outcome.value,
        reason=event.explanation.reason,
    )


def _members(explained: ExplainedDelivery) -> dict[str, Any]:
    explanation = explained.explanation
    return {
        "event_id": explained.event_id,
        "message_id": public_event_id(explained.event_id),
        "webhook_id": explained.webhook.id,
        "received_at": None if explained.event is None else explained.event.at,
        "outcome": explanation.outcome.value,
        "reason": explanation.reason,
        "mismatch": _mismatch(explanation.mismatch),
        "pause": _pause(explanation),
        "pending": _pending(explanation),
        "at": explanation.since,
        "error": explanation.error and escape(explanation.error),
        "delivery_ids": list(explanation.deliveries),
    }


def _previewed(previewed: PreviewedEvent) -> schemas.PreviewedEvent:
    event, refusal = previewed.event, previewed.refusal
    return schemas.PreviewedEvent(
        id=event.id,
        message_id=public_event_id(event.id),
        type=event.type,
        created_at=event.created_at,
        outcome="matched" if refusal is None else refusal.outcome.value,
        reason=None if refusal is None else refusal.reason,
        mismatch=None if refusal is None else _mismatch(refusal.mismatch),
    )


def _mismatch(mismatch: Mismatch | None) -> schemas.Mismatch | None:
    match mismatch:
        case None:
            return None
        case TypeMismatch(member, wanted):
            return schemas.Mismatch(member=member, path=None, found=None, wanted=list(wanted))
        case ConditionMismatch(member, path, found, wanted):
            return schemas.Mismatch(
                member=member, path=path, found=list(found), wanted=list(wanted)
            )


def pause_response(pause: Pause) -> schemas.Pause:
    """Show a pause."""
    return schemas.Pause(by=pause.by, from_=pause.since, to=pause.until)


def _pause(explanation: Explanation) -> schemas.Pause | None:
    return None if explanation.pause is None else pause_response(explanation.pause)


def _pending(explanation: Explanation) -> schemas.PendingAttempt | None:
    if explanation.pending is None:
        return None
    return schemas.PendingAttempt(
        attempt_number=explanation.pending.number,
        waits_for=explanation.pending.waits_for.value,
        due_at=explanation.pending.due_at,
    )
