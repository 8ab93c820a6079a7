"""Slow lanes and quick ones share the slots: neither starves the other."""

from itertools import pairwise

import pytest

from daemon.core.model.ids import WebhookId
from daemon.core.scheduling.endpoint_lane import SLOW_MS
from tests.core.scheduling.driven_lanes import (
    A,
    B,
    C,
    claim_all,
    claim_nothing,
    endpoint,
    finish,
    lanes_of,
    mark_due,
    slow_down,
    tenant,
    widen,
)


def test_slow_lanes_leave_a_quarter_of_all_slots_to_the_others() -> None:
    lanes = lanes_of(slots=8, widest=8)
    widen(lanes, A)
    slow = [endpoint(n) for n in range(10, 20)]
    for webhook_id in slow:
        slow_down(lanes, webhook_id)
    mark_due(lanes, *slow)

    turns = claim_all(lanes)
    mark_due(lanes, A)

    assert sum(turn.limit for turn in turns) == 6
    assert [turn.webhook_id for turn in lanes.next_turns(now=0.0, room=100)] == [A]


def test_one_slow_lane_alone_leaves_half_of_all_slots() -> None:
    lanes = lanes_of(slots=8, widest=100)
    widen(lanes, A)
    slow_down(lanes, A)
    mark_due(lanes, A)

    assert [turn.limit for turn in lanes.next_turns(now=0.0, room=100)] == [4]


def test_a_slow_lane_that_becomes_quick_counts_as_quick() -> None:
    lanes = lanes_of(slots=8, widest=6)
    slow_down(lanes, A)
    for _ in range(10):
        mark_due(lanes, A)
        for turn in claim_all(lanes):
            finish(lanes, A, times=turn.limit, took_ms=1.0)
    claim_nothing(lanes, lanes.next_turns(now=0.0, room=100))
    mark_due(lanes, A)

    assert [turn.limit for turn in lanes.next_turns(now=0.0, room=100)] == [6]


@pytest.mark.parametrize(("timeout_ms", "answers"), [(30_000.0, 10), (5_000.0, 5)])
def test_a_lane_that_has_timed_out_counts_as_quick_after_a_few_answers_not_after_the_first(
    timeout_ms: float, answers: int
) -> None:
    lanes = lanes_of()
    widen(lanes, A)
    mark_due(lanes, A)
    [turn] = claim_all(lanes)
    finish(lanes, A, times=turn.limit, took_ms=timeout_ms, delivered=False)
    needed = 0
    while lanes._lanes[A].unproven:
        needed += 1
        claim_nothing(lanes, lanes.next_turns(now=0.0, room=100))
        mark_due(lanes, A)
        claim_all(lanes, room=1)
        finish(lanes, A, took_ms=10.0)

    assert needed == answers


def test_attempts_in_flight_for_long_come_off_the_share_of_lanes_that_are_not_quick() -> None:
    room = []
    for slow in (0, 30):
        lanes = lanes_of(slots=64, widest=30)
        widen(lanes, A)
        mark_due(lanes, A)
        claim_all(lanes)
        for _ in range(slow):
            lanes.slowed(A)
        mark_due(lanes, *[endpoint(n) for n in range(10, 20)], tenant_id=tenant(2))
        room.append(sum(turn.limit for turn in claim_all(lanes)))

    assert room == [14, 10]


def test_a_slow_lane_is_not_starved_by_quick_ones_when_slots_come_free_one_at_a_time() -> None:
    lanes = lanes_of(slots=4)
    slow_down(lanes, A)
    mark_due(lanes, A, B, C)

    picked = []
    for _ in range(4):
        [turn] = claim_all(lanes, room=1)
        picked.append(turn.webhook_id)
        finish(lanes, turn.webhook_id)

    assert A in picked
    assert {B, C} & set(picked)


@pytest.mark.parametrize("room", [1, 2, 5, 100])
@pytest.mark.parametrize(("quick", "slow"), [(1, 1), (1, 9), (9, 1), (9, 9), (300, 3), (0, 5)])
def test_a_lane_that_stays_due_waits_for_two_rounds_of_turns_at_most(
    room: int, quick: int, slow: int
) -> None:
    lanes = lanes_of(slots=1000)
    ids = [endpoint(n) for n in range(quick + slow)]
    for webhook_id in ids[quick:]:
        slow_down(lanes, webhook_id)
    mark_due(lanes, *ids)

    order: list[WebhookId] = []
    while len(order) < 5 * len(ids):
        for turn in claim_all(lanes, room=room):
            order.append(turn.webhook_id)
            took_ms = 10.0 if turn.webhook_id in ids[:quick] else 5 * SLOW_MS
            finish(lanes, turn.webhook_id, times=turn.limit, took_ms=took_ms)

    for webhook_id in ids:
        turns = [n for n, picked in enumerate(order) if picked == webhook_id]
        gaps = [later - earlier for earlier, later in pairwise([-1, *turns, len(order)])]
        assert max(gaps) <= 2 * len(ids) + 1


def test_with_a_single_slot_a_slow_lane_still_has_its_turn() -> None:
    lanes = lanes_of(slots=1)
    slow_down(lanes, A)
    mark_due(lanes, A)

    assert [turn.webhook_id for turn in lanes.next_turns(now=0.0, room=1)] == [A]


def test_the_longest_wait_is_that_of_the_first_tenant_with_a_quick_lane_in_line() -> None:
    lanes = lanes_of()
    widen(lanes, A)
    widen(lanes, B)
    assert lanes.waited(now=0.0) == 0
    mark_due(lanes, A, now=1.0)
    mark_due(lanes, B, now=5.0)

    assert lanes.waited(now=7.0) == 6.0
    lanes.next_turns(now=7.0, room=1)
    assert lanes.waited(now=7.0) == 2.0


def test_slow_lanes_that_wait_for_their_share_do_not_count_as_waiting() -> None:
    lanes = lanes_of()
    slow_down(lanes, A)
    mark_due(lanes, A, now=1.0)

    assert lanes.ready == 1
    assert lanes.waited(now=100.0) == 0
