"""What the attempts of an event tell: a success, one to come, or the end of all."""

from collections.abc import Sequence
from datetime import datetime

from daemon.core.explanations.wording import PAUSED_BY, held_since, moment
from daemon.core.model.explanations import (
    ChainAttempt,
    ExplainedWebhook,
    Explanation,
    Outcome,
    PendingAttempt,
    WaitsFor,
)
from daemon.core.model.holds import Hold
from daemon.core.unprintable import escape


def explain_attempts(
    attempts: Sequence[ChainAttempt],
    webhook: ExplainedWebhook,
    *,
    now: datetime,
    hold: Hold | None = None,
) -> Explanation:
    """
    Explain an event with attempts, which are in the order of `explained_events.attempts`.

    `hold` is what holds the webhook's tenant.
    """
    delivered = [each for each in attempts if each.status == "success"]
    pending = [each for each in attempts if each.status == "pending_retry"]
    failed = [each for each in attempts if each.status == "failed"]
    if delivered:
        return _delivered(delivered, pending, failed)
    if pending:
        waiting = _waiting(pending[0], webhook, now, is_held=hold is not None)
        clause = _waiting_clause(waiting, webhook, hold)
        return _pending(pending[0], failed, waiting, clause)
    if not failed:
        status = escape(attempts[0].status[:50])
        return Explanation(
            Outcome.UNKNOWN,
            f'The application wrote a delivery with the status "{status}", which means nothing.',
            deliveries=(attempts[0].id,),
        )
    return _too_large(failed[0]) if failed[0].too_large else _exhausted(failed)


def _delivered(
    delivered: Sequence[ChainAttempt],
    pending: Sequence[ChainAttempt],
    failed: Sequence[ChainAttempt],
) -> Explanation:
    first = delivered[-1]
    reason = f"It was delivered at {moment(first.at)}, by attempt {first.number}."
    if len(delivered) > 1:
        reason += f" It was sent again {_times(len(delivered) - 1)} since, and accepted."
    if pending:
        reason += f" Another attempt is due at {moment(pending[0].due_at)}."
    elif failed and _is_later(failed[0], delivered[0]):
        error = _error(failed[0])
        reason += f" It was sent again later, and that failed at {moment(failed[0].at)}: {error}"
    ids = tuple(each.id for each in delivered)
    return Explanation(Outcome.DELIVERED, reason, since=first.at, deliveries=ids)


def _pending(
    attempt: ChainAttempt,
    failed: Sequence[ChainAttempt],
    waiting: PendingAttempt,
    clause: str,
) -> Explanation:
    reason = f"Attempt {attempt.number} {clause}."
    if failed:
        reason += f" The last one failed at {moment(failed[0].at)}: {_error(failed[0])}"
    return Explanation(
        Outcome.PENDING,
        reason,
        pending=waiting,
        error=failed[0].error if failed else None,
        deliveries=(attempt.id,),
    )


def _waiting(
    attempt: ChainAttempt, webhook: ExplainedWebhook, now: datetime, *, is_held: bool
) -> PendingAttempt:
    if attempt.in_flight:
        return PendingAttempt(attempt.number, WaitsFor.RESPONSE, attempt.due_at)
    if not webhook.latest.is_active:
        return PendingAttempt(attempt.number, WaitsFor.RESUME, None)
    if is_held:
        return PendingAttempt(attempt.number, WaitsFor.RELEASE, None)
    due_at = attempt.due_at or now
    if webhook.next_probe_at is not None and webhook.next_probe_at > max(due_at, now):
        return PendingAttempt(attempt.number, WaitsFor.PROBE, webhook.next_probe_at)
    waits_for = WaitsFor.SCHEDULE if due_at > now else WaitsFor.TURN
    return PendingAttempt(attempt.number, waits_for, attempt.due_at)


def _waiting_clause(waiting: PendingAttempt, webhook: ExplainedWebhook, hold: Hold | None) -> str:
    match waiting.waits_for:
        case WaitsFor.RESPONSE:
            return "is under way"
        case WaitsFor.RESUME:
            by = PAUSED_BY.get(webhook.latest.paused_by, "")
            since = webhook.latest.since
            at = "" if since is None else f" at {moment(since)}"
            return f"waits until the webhook is resumed: it was paused{at} {by}"
        case WaitsFor.RELEASE:
            assert hold is not None
            return f"waits until it is released: {held_since(hold)}"
        case WaitsFor.PROBE:
            return (
                "waits because the endpoint is failing, and its attempts are spaced out: the next"
                f" one to it is made at {moment(waiting.due_at)}"
            )
        case WaitsFor.SCHEDULE:
            return f"is due at {moment(waiting.due_at)}"
        case WaitsFor.TURN:
            return f"has been due since {moment(waiting.due_at)}, and waits for its turn"


def _too_large(attempt: ChainAttempt) -> Explanation:
    return Explanation(
        Outcome.TOO_LARGE,
        f"It was never sent, because it is too large: {_error(attempt)}",
        since=attempt.at,
        error=attempt.error,
        deliveries=(attempt.id,),
    )


def _exhausted(failed: Sequence[ChainAttempt]) -> Explanation:
    last = failed[0]
    count = f"All {last.number} attempts" if last.number > 1 else "The only attempt"
    when = f"the last one at {moment(last.at)}" if last.number > 1 else f"at {moment(last.at)}"
    return Explanation(
        Outcome.EXHAUSTED,
        f"{count} failed, {when}, and none follows: {_error(last)}",
        since=last.at,
        error=last.error,
        deliveries=tuple(each.id for each in failed),
    )


def _is_later(one: ChainAttempt, other: ChainAttempt) -> bool:
    return one.at is not None and other.at is not None and one.at > other.at


def _error(attempt: ChainAttempt) -> str:
    text = escape(attempt.error or "no reason is stored").rstrip(".")
    return f"{text}."


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
