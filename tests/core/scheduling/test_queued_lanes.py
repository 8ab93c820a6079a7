"""First attempts in memory have turns like others, without a claim, beside what is due."""

from collections import Counter
from math import inf

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.scheduling.endpoint_lane import MOST_QUEUED, NOTHING_DUE
from daemon.core.scheduling.lanes import Lanes, LaneTurn
from tests.core.scheduling.driven_lanes import (
    A,
    B,
    at,
    endpoint,
    finish,
    lanes_of,
    mark_due,
    widen,
)


def queue(lanes: Lanes, *ids: WebhookId, now: float = 0.0) -> None:
    for webhook_id in ids:
        lanes.queue(webhook_id, tenant_id=TenantId(webhook_id), now=now)


def take(lanes: Lanes, turn: LaneTurn, *, now: float = 0.0) -> None:
    lanes.dequeued(turn, taken=turn.limit, now=now)


def room(lanes: Lanes, webhook_id: WebhookId, *, of_tenant: int = 0, now: float = 0.0) -> int:
    return lanes.queue_room(
        webhook_id, tenant_id=TenantId(webhook_id), of_tenant=of_tenant, now=now
    )


def test_a_queued_attempt_has_a_turn_for_the_queue() -> None:
    lanes = lanes_of()
    queue(lanes, A)

    [turn] = lanes.next_turns(now=0.0, room=10)
    take(lanes, turn)

    assert turn == LaneTurn(A, 1, None, queued=True)
    assert lanes.in_flight == 1
    assert lanes.next_turns(now=0.0, room=10) == []


def test_the_window_bounds_queued_attempts_in_flight() -> None:
    lanes = lanes_of()
    queue(lanes, A, A, A)

    [turn] = lanes.next_turns(now=0.0, room=10)
    take(lanes, turn)
    while_full = lanes.next_turns(now=0.0, room=10)
    finish(lanes, A)

    assert (turn.limit, while_full) == (2, [])
    assert lanes.next_turns(now=0.0, room=10) == [LaneTurn(A, 1, None, queued=True)]


def test_what_is_due_in_the_database_comes_first() -> None:
    lanes = lanes_of()
    queue(lanes, A)
    mark_due(lanes, A)

    [claim] = lanes.next_turns(now=0.0, room=10)
    lanes.claimed(claim, taken=1, last_due=at(0), upcoming=NOTHING_DUE, now=0.0)
    [queued] = lanes.next_turns(now=0.0, room=10)

    assert (claim.queued, queued.queued) == (False, True)


def test_what_is_due_later_does_not_delay_the_queue() -> None:
    lanes = lanes_of()
    mark_due(lanes, A, due_at=60.0)
    queue(lanes, A)

    [turn] = lanes.next_turns(now=0.0, room=10)
    take(lanes, turn)
    finish(lanes, A)

    assert turn.queued
    assert lanes.next_due_in(now=0.0) == 60.0


def test_lanes_with_queues_take_turns_with_others() -> None:
    lanes = lanes_of()
    queue(lanes, A, A)
    mark_due(lanes, B)

    assert [each.webhook_id for each in lanes.next_turns(now=0.0, room=2)] == [A, B]


def test_first_attempts_do_not_wait_for_what_is_due_of_thousands_of_tenants() -> None:
    lanes = lanes_of()
    mark_due(lanes, *map(endpoint, range(10, 5_010)))
    queue(lanes, A)

    assert A in [each.webhook_id for each in lanes.next_turns(now=0.0, room=2)]


def test_what_is_due_does_not_wait_for_first_attempts_of_thousands_of_tenants() -> None:
    lanes = lanes_of()
    queue(lanes, *map(endpoint, range(10, 5_010)))
    mark_due(lanes, A)

    assert A in [each.webhook_id for each in lanes.next_turns(now=0.0, room=2)]


def test_half_of_the_turns_are_for_what_is_due_while_first_attempts_wait() -> None:
    lanes = lanes_of(slots=400)
    queue(lanes, *map(endpoint, range(10, 510)))
    mark_due(lanes, *map(endpoint, range(1_000, 1_500)))

    turns = [each.queued for each in lanes.next_turns(now=0.0, room=100)]

    assert Counter(turns) == {True: 50, False: 50}


def test_a_lane_whose_queue_was_emptied_has_no_turn() -> None:
    lanes = lanes_of()
    queue(lanes, A, A)
    lanes.unqueue(A, 2)

    assert lanes.next_turns(now=0.0, room=10) == []
    assert lanes.ready == 0


def test_a_lane_that_is_spaced_out_begins_nothing_from_its_queue() -> None:
    lanes = lanes_of()
    queue(lanes, A)
    lanes.space(A, until=5.0, now=0.0)

    assert lanes.next_turns(now=4.9, room=10) == []
    assert room(lanes, A, now=4.9) == 0
    assert len(lanes.next_turns(now=5.0, room=10)) == 1


def test_a_new_endpoint_may_queue_what_its_window_and_its_tenants_share_hold() -> None:
    lanes = lanes_of(slots=16)

    assert room(lanes, A) == 2
    assert room(lanes, A, of_tenant=inf) < 0  # type: ignore[arg-type]
    queue(lanes, A, A)
    assert room(lanes, A, of_tenant=2) == 0


def test_a_quick_endpoint_may_queue_what_it_is_likely_to_take_soon() -> None:
    lanes = lanes_of(widest=10)
    widen(lanes, A)

    finish_time_ms = 10.0
    assert room(lanes, A) == int(10 * 200 / finish_time_ms)
    assert room(lanes, A) <= MOST_QUEUED


def test_half_as_many_are_queued_beside_a_backlog() -> None:
    lanes = lanes_of()
    widen(lanes, A)
    alone = room(lanes, A)
    mark_due(lanes, A)

    assert room(lanes, A) == alone // 2


def test_a_lane_with_a_queue_is_not_forgotten() -> None:
    lanes = lanes_of()
    queue(lanes, A)
    lanes.forget_idle()

    assert len(lanes.next_turns(now=0.0, room=10)) == 1


def test_queued_attempts_have_turns_while_no_claim_can_be_made() -> None:
    lanes = lanes_of()
    mark_due(lanes, A)
    queue(lanes, B)

    without = lanes.next_turns(now=0.0, room=10, claims=False)
    with_claims = lanes.next_turns(now=0.0, room=10)

    assert without == [LaneTurn(B, 1, None, queued=True)]
    assert [turn.webhook_id for turn in with_claims] == [A]


def test_a_queued_lane_that_needs_a_claim_meanwhile_waits_for_one() -> None:
    lanes = lanes_of()
    queue(lanes, A)
    mark_due(lanes, A, due_at=5.0)

    early = lanes.next_turns(now=6.0, room=10, claims=False)
    [claim] = lanes.next_turns(now=6.0, room=10)

    assert (early, claim.queued) == ([], False)


def test_what_is_due_in_the_database_and_what_is_queued_alternate() -> None:
    lanes = lanes_of()
    queue(lanes, A, A, A)
    mark_due(lanes, A)

    kinds = list[bool]()
    for _ in range(4):
        [turn] = lanes.next_turns(now=0.0, room=1)
        kinds.append(turn.queued)
        if turn.queued:
            take(lanes, turn)
        else:  # as much as it may, and more is due
            lanes.claimed(turn, taken=1, last_due=at(0), upcoming=NOTHING_DUE, now=0.0)
        finish(lanes, A)

    assert kinds == [False, True, False, True]
