"""The lane of an endpoint that is failing: it sleeps until the next attempt may begin."""

from datetime import datetime

import pytest

from daemon.core.model.ids import TenantId
from daemon.core.scheduling.endpoint_lane import NextDue
from daemon.core.scheduling.lanes import Lanes
from tests.core.scheduling.driven_lanes import (
    A,
    B,
    at,
    claim_all,
    claim_nothing,
    finish,
    lanes_of,
    mark_due,
    widen,
)


def claim_probe(lanes: Lanes, *, now: float, until: float, taken: int = 1) -> None:
    """A turn whose claim found the endpoint failing: the next attempt may begin at `until`."""
    [turn] = lanes.next_turns(now=now, room=100)
    upcoming = NextDue(now, at(now))
    lanes.claimed(turn, taken=taken, last_due=None, upcoming=upcoming, now=now, spaced_until=until)


def turns_at(lanes: Lanes, now: float) -> list[object]:
    return [turn.webhook_id for turn in lanes.next_turns(now=now, room=100)]


def test_new_events_do_not_wake_a_lane_before_its_next_probe() -> None:
    lanes = lanes_of()
    mark_due(lanes, A)
    claim_probe(lanes, now=0.0, until=30.0, taken=0)

    mark_due(lanes, A, due_at=10.0, now=10.0)

    assert turns_at(lanes, 29.9) == []
    assert lanes.next_due_in(now=29.0) == pytest.approx(1.0)
    assert turns_at(lanes, 30.0) == [A]


def test_the_result_of_a_probe_says_when_the_next_may_begin() -> None:
    lanes = lanes_of()
    mark_due(lanes, A)
    claim_probe(lanes, now=0.0, until=30.0)
    finish(lanes, A, delivered=False, now=1.0)

    lanes.space(A, until=3.0, now=1.0)

    assert turns_at(lanes, 2.9) == []
    assert turns_at(lanes, 3.0) == [A]


def test_a_lane_in_line_leaves_it_when_its_endpoint_is_failing() -> None:
    lanes = lanes_of()
    mark_due(lanes, A, B)

    lanes.space(A, until=1.0, now=0.0)

    assert turns_at(lanes, 0.5) == [B]


def test_a_recovery_or_a_request_of_a_person_ends_the_wait() -> None:
    lanes = lanes_of()
    mark_due(lanes, A)
    claim_probe(lanes, now=0.0, until=30.0, taken=0)

    lanes.mark_due(A, 5.0, None, tenant_id=TenantId(A), now=5.0, unspaced=True)

    [turn] = lanes.next_turns(now=5.0, room=100)
    assert (turn.webhook_id, turn.since) == (A, None)


def test_a_request_of_a_person_does_not_wait_for_the_probe_under_way() -> None:
    lanes = lanes_of()
    lanes.mark_due(A, 0.0, at(0), tenant_id=TenantId(A), now=0.0, failing=True)
    claim_probe(lanes, now=0.0, until=30.0)
    assert turns_at(lanes, 1.0) == []

    lanes.mark_due(A, 1.0, None, tenant_id=TenantId(A), now=1.0, unspaced=True)

    assert turns_at(lanes, 1.0) == [A]


def test_what_is_not_spaced_gets_no_wider_window_by_being_announced() -> None:
    lanes = lanes_of()
    lanes.mark_due(A, 0.0, at(0), tenant_id=TenantId(A), now=0.0, failing=True)
    claim_all(lanes)

    for _ in range(5):
        lanes.mark_due(A, 1.0, None, tenant_id=TenantId(A), now=1.0, unspaced=True)

    assert turns_at(lanes, 1.0) == []


@pytest.mark.parametrize("until", [3.0, float("-inf")])
def test_what_is_heard_during_a_claim_is_newer_than_what_the_claim_found(until: float) -> None:
    lanes = lanes_of()
    mark_due(lanes, A)
    turns = lanes.next_turns(now=0.0, room=100)
    lanes.space(A, until=until, now=1.0)

    for turn in turns:
        upcoming = NextDue(0.0, at(0))
        lanes.claimed(turn, taken=0, last_due=None, upcoming=upcoming, now=1.0, spaced_until=60.0)

    assert turns_at(lanes, max(1.0, until)) == [A]


def test_an_endpoint_that_nobody_knows_is_not_spaced() -> None:
    lanes = lanes_of()

    lanes.space(A, until=1.0, now=0.0)

    assert turns_at(lanes, 5.0) == []


def test_after_an_outage_a_lane_is_as_wide_as_before_within_a_few_successes() -> None:
    lanes = lanes_of(widest=32)
    widen(lanes, A)
    for _ in range(20):
        mark_due(lanes, A)
        for turn in claim_all(lanes, room=1):
            finish(lanes, A, times=turn.limit, delivered=False)
    assert lanes._lanes[A].window == 1

    for _ in range(5):
        mark_due(lanes, A)
        claim_all(lanes, room=1)
        finish(lanes, A)

    assert lanes._lanes[A].window == 32


def test_a_lane_of_an_overloaded_endpoint_opens_by_one() -> None:
    lanes = lanes_of(widest=32)
    widen(lanes, A)
    mark_due(lanes, A)
    claim_all(lanes, room=3)
    finish(lanes, A, times=2, delivered=False)
    assert lanes._lanes[A].window == 8

    finish(lanes, A)

    assert lanes._lanes[A].window == 9


def test_a_lane_that_fails_while_it_opens_again_opens_to_its_width_of_then() -> None:
    lanes = lanes_of(widest=32)
    widen(lanes, A)
    lane = lanes._lanes[A]
    for delivered in [False] * 6 + [True, True] + [False] * 3 + [True] * 4:
        lane.record(1.0, delivered=delivered, widest=32)

    assert lane.window == 6  # 1, 2, 4; 2, 1, 1; 2, 4, 5, 6


@pytest.mark.parametrize(
    ("since", "due_at", "known"),
    [
        (at(5), 5.0, True),
        (at(6), 7.0, True),
        (at(4), 5.0, False),  # the claim would begin behind it
        (None, 5.0, False),
        (at(5), 4.0, False),
    ],
)
def test_a_lane_knows_what_its_next_claim_will_find(
    since: datetime | None, due_at: float, known: bool
) -> None:
    lanes = lanes_of()
    mark_due(lanes, A, due_at=5.0)

    assert lanes.knows(A, NextDue(due_at, since), now=0.0) is known
    assert not lanes.knows(B, NextDue(due_at, since), now=0.0)


def test_a_lane_that_sleeps_until_its_probe_does_not_know_that_it_may_begin_earlier() -> None:
    lanes = lanes_of()
    mark_due(lanes, A)
    claim_probe(lanes, now=0.0, until=30.0, taken=0)

    assert not lanes.knows(A, NextDue(1.0, at(0)), now=1.0)
    assert lanes.knows(A, NextDue(30.0, at(0)), now=1.0)


def test_an_empty_lane_that_was_spaced_can_be_forgotten() -> None:
    lanes = lanes_of()
    mark_due(lanes, A)
    lanes.space(A, until=1.0, now=0.0)
    claim_nothing(lanes, lanes.next_turns(now=1.0, room=100), now=1.0)

    assert lanes._lanes[A].idle
