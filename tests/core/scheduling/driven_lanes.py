"""Lanes driven step by step: marked due, claimed for, finished."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.scheduling.endpoint_lane import NOTHING_DUE, SLOW_MS, NextDue
from daemon.core.scheduling.lanes import Lanes, LaneTurn

EPOCH = datetime(2025, 1, 1, tzinfo=UTC)


def endpoint(number: int) -> WebhookId:
    return WebhookId(UUID(int=number))


def tenant(number: int) -> TenantId:
    return TenantId(UUID(int=number))


A, B, C = endpoint(1), endpoint(2), endpoint(3)


def at(seconds: float) -> datetime:
    """A time of the database, which lanes only pass on."""
    return EPOCH + timedelta(seconds=seconds)


def lanes_of(*, slots: int = 100, widest: int = 10) -> Lanes:
    return Lanes(slots=slots, widest=widest)


def mark_due(
    lanes: Lanes,
    *ids: WebhookId,
    due_at: float = 0.0,
    now: float = 0.0,
    tenant_id: TenantId | None = None,
    since: datetime | None = EPOCH,
    failing: bool = False,
) -> None:
    """Mark lanes due from `due_at` on; without a `tenant_id`, each is of a tenant of its own."""
    for webhook_id in ids:
        lanes.mark_due(
            *(webhook_id, due_at, at(due_at) if since is EPOCH else since),
            tenant_id=tenant_id or TenantId(webhook_id),
            now=now,
            failing=failing,
        )


def claim_all(
    lanes: Lanes, *, now: float = 0.0, room: int = 1000, upcoming: NextDue = NOTHING_DUE
) -> list[LaneTurn]:
    """Take the next turns, and claim as many attempts in each as it allows."""
    turns = lanes.next_turns(now=now, room=room)
    for turn in turns:
        lanes.claimed(turn, taken=turn.limit, last_due=at(now), upcoming=upcoming, now=now)
    return turns


def claim_nothing(lanes: Lanes, turns: list[LaneTurn], *, now: float = 0.0) -> None:
    for turn in turns:
        lanes.claimed(turn, taken=0, last_due=None, upcoming=NOTHING_DUE, now=now)


def finish(
    lanes: Lanes,
    webhook_id: WebhookId,
    *,
    times: int = 1,
    took_ms: float = 10.0,
    delivered: bool = True,
    now: float = 0.0,
) -> None:
    for _ in range(times):
        lanes.finished(webhook_id, took_ms=took_ms, delivered=delivered, now=now)


def widen(lanes: Lanes, webhook_id: WebhookId) -> None:
    """Let the lane succeed until its window has its greatest width."""
    for _ in range(lanes.widest + 1):
        mark_due(lanes, webhook_id)
        for turn in claim_all(lanes):
            finish(lanes, turn.webhook_id, times=turn.limit)
    claim_nothing(lanes, lanes.next_turns(now=0.0, room=1000))


def slow_down(lanes: Lanes, webhook_id: WebhookId) -> None:
    """Let one attempt take so long that the lane counts as slow."""
    mark_due(lanes, webhook_id)
    [turn] = claim_all(lanes, room=1)
    finish(lanes, webhook_id, times=turn.limit, took_ms=5 * SLOW_MS)
    claim_nothing(lanes, lanes.next_turns(now=0.0, room=1000))
