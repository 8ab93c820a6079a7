"""
Which operational events results cause: those of health, and deliveries that were given up.

The rule: each transition is reported once, and with the result that caused it.
"""

from collections.abc import Mapping, Sequence

import orjson

from daemon.core.model.attempts import AttemptResult, Verdict
from daemon.core.model.ids import DeliveryId, EventId, WebhookId
from daemon.core.model.notices import Notice, NoticeKind
from daemon.core.model.operational_events import ExhaustedDelivery, OperationalType, Transition

TYPE_OF_NOTICE = {
    NoticeKind.FAILING: OperationalType.FAILING,
    NoticeKind.RECOVERED: OperationalType.RECOVERED,
    NoticeKind.NEARLY_PAUSED: OperationalType.NEARLY_PAUSED,
    NoticeKind.PAUSED: OperationalType.PAUSED,
    NoticeKind.GONE: OperationalType.PAUSED,
}
PAUSED_FOR = {NoticeKind.PAUSED: "failures", NoticeKind.GONE: "gone"}


def transitions_of(
    results: Sequence[AttemptResult],
    notices: Sequence[Notice],
    *,
    row_ids: Mapping[DeliveryId, DeliveryId],
) -> list[Transition]:
    """
    Return what to report of stored results and of the notices that they caused.

    `row_ids` has the ids of the rows of attempts whose own ids were taken. Of chains of one event
    and webhook that end together, the one counts whose last attempt began last.
    """
    ended = sorted(
        (each for each in results if ends_without_success(each.verdict)),
        key=lambda each: each.claim.claimed_at,
    )
    latest = {_delivery_of(each): each for each in ended}
    candidates = results if latest else ()
    exhausted = (each for each in candidates if latest.get(_delivery_of(each)) is each)
    return [
        *(_of_notice(each) for each in notices if each.kind in TYPE_OF_NOTICE),
        *(_exhausted(each, row_ids) for each in exhausted),
    ]


def ends_without_success(verdict: Verdict) -> bool:
    """
    Whether a failed attempt is the last of its chain.

    The verdict knows its place in the chain, and whether the webhook takes its status as final. One
    that pauses the webhook (410) is not the last while a retry is due: that waits until the webhook
    is resumed. A body that was too large was never sent (contract, section 1).
    """
    return not verdict.delivered and not verdict.too_large and verdict.retry_in is None


def _delivery_of(result: AttemptResult) -> tuple[WebhookId, EventId]:
    return result.claim.webhook_id, result.claim.event_id


def _of_notice(notice: Notice) -> Transition:
    data = orjson.loads(notice.data)
    return Transition(
        TYPE_OF_NOTICE[notice.kind],
        notice.webhook_id,
        reason=PAUSED_FOR.get(notice.kind, data["error"]),
        failures=data["consecutiveFailures"],
    )


def _exhausted(result: AttemptResult, row_ids: Mapping[DeliveryId, DeliveryId]) -> Transition:
    claim = result.claim
    row_id = row_ids.get(claim.delivery_id, claim.delivery_id)
    return Transition(
        OperationalType.EXHAUSTED,
        claim.webhook_id,
        reason=result.verdict.error,
        delivery=ExhaustedDelivery(claim.event_id, claim.event_type, row_id, claim.claimed_at),
    )
