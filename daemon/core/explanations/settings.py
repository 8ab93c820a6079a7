"""
Why an event without a delivery has none, from the settings of its webhook when it came in.

The settings that count are those of the moment when the daemon takes the event (contract,
section 3), normally milliseconds after it came in. Where these would have made a delivery, a change
shortly after or before is named: the event was taken later, or the change was committed later.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from daemon.core.explanations.wording import (
    length,
    mismatch_sentence,
    moment,
    pause_sentence,
    scope_sentence,
)
from daemon.core.matching.compiler import UnusableFilter, compile_subscription
from daemon.core.matching.event_data import EventData
from daemon.core.matching.matcher import Matcher
from daemon.core.matching.mismatch import data_mismatch, type_mismatch
from daemon.core.model.explanations import (
    ExplainedEvent,
    ExplainedWebhook,
    Explanation,
    Kept,
    Outcome,
    Pause,
    PendingAttempt,
    Waiting,
    WaitsFor,
    WebhookVersion,
)
from daemon.core.model.operational_events import WebhookScope
from daemon.core.unprintable import escape

# How long after its arrival an event may have been taken, and how long a change may have been
# uncommitted.
NEARBY = timedelta(hours=1)

TOO_LARGE_TO_MATCH = "Its data are too large to be compared with the webhook's filter."


@dataclass(frozen=True, slots=True)
class Question:
    """An event at a webhook; `data` are None if they are too large to be matched."""

    event: ExplainedEvent
    webhook: ExplainedWebhook
    data: EventData | None


Steps = Generator[None, None, Explanation]
Refusal = Generator[None, None, Explanation | None]


def explain_settings(question: Question, *, waiting: Waiting, kept: Kept) -> Steps:
    """Explain an event without attempts, in pieces."""
    if waiting in {Waiting.NOT_TAKEN, Waiting.TAKEN}:
        return (yield from _explain_waiting(question, waiting))
    webhook, at = question.webhook, question.event.at or kept.now
    if webhook.created_at is not None and at < webhook.created_at:
        reason = f"The webhook was created later, at {moment(webhook.created_at)}."
        return Explanation(Outcome.CREATED_LATER, f"It came in at {moment(at)}. {reason}")
    version = version_at(webhook, at)
    if version is None:
        return Explanation(Outcome.UNKNOWN, _unrecorded(webhook, at))
    refused = yield from refusal(question, version)
    if refused is not None:
        return _with_doubt(refused, webhook, version, at)
    return (yield from _explain_missing(question, at, waiting, kept))


def version_at(webhook: ExplainedWebhook, at: datetime) -> WebhookVersion | None:
    """What the webhook was at that time; None if that is not kept, or if it was deleted."""
    for version in webhook.versions:
        if version.until is None or version.until > at:
            return None if version.since is not None and version.since > at else version
    return None


def refusal(question: Question, version: WebhookVersion) -> Refusal:
    """Why the webhook, as it was then, did not get the event; None if it did. In pieces."""
    if question.webhook.scope != WebhookScope.EVENTS:
        return Explanation(Outcome.NOT_SUBSCRIBED, scope_sentence(question.webhook.scope))
    matcher = compile_subscription(version.event_types, version.event_filters)
    refused = yield from subscription_refusal(matcher, question.event.type, question.data)
    if refused is not None or version.is_active:
        return refused
    pause = _pause(question.webhook, version)
    return Explanation(Outcome.PAUSED, pause_sentence(pause), pause=pause)


def subscription_refusal(
    matcher: Matcher | UnusableFilter, event_type: str, data: EventData | None
) -> Refusal:
    """Why a subscription does not match an event; None if it does. In pieces."""
    if isinstance(matcher, UnusableFilter):
        reason = f"The webhook's filter could not be used: {escape(matcher.reason)}"
        return Explanation(Outcome.FILTERED, reason)
    if (types := type_mismatch(matcher, event_type)) is not None:
        sentence = mismatch_sentence(types, event_type)
        return Explanation(Outcome.NOT_SUBSCRIBED, sentence, mismatch=types)
    if matcher.needs_data:
        if data is None:
            return Explanation(Outcome.TOO_LARGE, TOO_LARGE_TO_MATCH)
        mismatch = yield from data_mismatch(matcher, data)
        if mismatch is not None:
            sentence = mismatch_sentence(mismatch, event_type)
            return Explanation(Outcome.FILTERED, sentence, mismatch=mismatch)
    return None


def pauses(webhook: ExplainedWebhook) -> list[Pause]:
    """All known pauses of a webhook, the latest first."""
    known = [_pause(webhook, each) for each in webhook.versions if not each.is_active]
    return list(dict.fromkeys(reversed(known)))


def _pause(webhook: ExplainedWebhook, version: WebhookVersion) -> Pause:
    """The whole pause that a version is part of: its filter may have been changed meanwhile."""
    place = webhook.versions.index(version)
    first = last = version
    for each in reversed(webhook.versions[:place]):
        if each.is_active:
            break
        first = each
    for each in webhook.versions[place + 1 :]:
        if each.is_active:
            break
        last = each
    return Pause(first.paused_by, first.since, last.until)


def _explain_waiting(question: Question, waiting: Waiting) -> Steps:
    refused = yield from refusal(question, question.webhook.latest)
    if refused is not None and waiting is Waiting.NOT_TAKEN:
        more = " The daemon has not taken the event yet, so a change of the webhook still counts."
        return replace(refused, reason=refused.reason + more)
    if refused is not None:
        return refused
    if waiting is Waiting.NOT_TAKEN:
        pending = PendingAttempt(1, WaitsFor.TURN, question.event.at)
        reason = "The daemon has not taken the event yet; normally it does within a second."
    else:
        pending = PendingAttempt(1, WaitsFor.RESPONSE, question.event.at)
        reason = "Its first attempt is under way, or about to begin."
    return Explanation(Outcome.PENDING, reason, pending=pending)


def _explain_missing(question: Question, at: datetime, waiting: Waiting, kept: Kept) -> Steps:
    """It was wanted when it came in, but there is no delivery."""
    webhook = question.webhook
    if at < kept.deliveries_since:
        return Explanation(
            Outcome.UNKNOWN,
            f"The webhook wanted it when it came in, at {moment(at)}, but deliveries are kept for"
            f" {length(kept.deliveries)} only: what became of it is not stored any more.",
        )
    if webhook.latest.deleted:
        when = moment(webhook.latest.until)
        return Explanation(
            Outcome.UNKNOWN, f"The webhook was deleted at {when}, and its deliveries with it."
        )
    for version in _nearby(webhook, at):
        refused = yield from refusal(question, version)
        if refused is not None:
            return replace(refused, reason=f"{_change(version, at)} {refused.reason}")
    if waiting is Waiting.UNKNOWN:
        reason = "It may still wait to be taken: more events wait than can be searched."
    else:
        reason = (
            "The webhook wanted it, but no delivery of it is stored: it was erased, or deleted by"
            " the application."
        )
    return Explanation(Outcome.UNKNOWN, reason)


def _nearby(webhook: ExplainedWebhook, at: datetime) -> list[WebhookVersion]:
    """The versions after that time, and before it, as far as they may have counted."""
    later = [v for v in webhook.versions if v.since is not None and at < v.since <= at + NEARBY]
    earlier = [v for v in webhook.versions if v.until is not None and at - NEARBY <= v.until <= at]
    return later + earlier[::-1]


def _change(version: WebhookVersion, at: datetime) -> str:
    if version.since is not None and version.since > at:
        return (
            f"When it came in, at {moment(at)}, the webhook wanted it; but at"
            f" {moment(version.since)}, before the daemon took it, the webhook was changed."
        )
    return (
        f"The webhook was changed at {moment(version.until)}, but that change was not committed yet"
        f" when the daemon took the event, which came in at {moment(at)}."
    )


def _with_doubt(
    refused: Explanation, webhook: ExplainedWebhook, version: WebhookVersion, at: datetime
) -> Explanation:
    """Say so where changes were not recorded yet, or followed at once."""
    reason = refused.reason
    if version.since is None and at < webhook.recorded_since:
        reason += (
            f" (Changes before {moment(webhook.recorded_since)} are not recorded: this is how the"
            " webhook was set up then.)"
        )
    elif version.until is not None and version.until - at < timedelta(seconds=10):
        reason += f" It was changed shortly afterwards, at {moment(version.until)}."
    return replace(refused, reason=reason)


def _unrecorded(webhook: ExplainedWebhook, at: datetime) -> str:
    last = webhook.latest
    if last.deleted and last.until is not None and last.until <= at:
        return f"The webhook was deleted at {moment(last.until)}, before the event came in."
    return (
        "There is no delivery of it, and how the webhook was set up when it came in, at"
        f" {moment(at)}, is not kept any more: it was changed too often since."
    )
