"""Lanes take turns: each that is due has one, and nothing that is due is forgotten."""

import pytest

from daemon.core.scheduling.endpoint_lane import NOTHING_DUE, NextDue
from daemon.core.scheduling.lanes import LaneTurn
from tests.core.scheduling.driven_lanes import A, B, C, at, lanes_of, mark_due, widen


def test_without_a_due_lane_there_are_no_turns() -> None:
    lanes = lanes_of()

    assert lanes.next_turns(now=0.0, room=10) == []
    assert lanes.ready == 0


def test_a_due_lane_has_a_turn_from_its_due_time_on() -> None:
    lanes = lanes_of()
    mark_due(lanes, A, due_at=5.0, since=at(3), now=5.0)

    assert lanes.ready == 1
    assert lanes.next_turns(now=5.0, room=10) == [LaneTurn(A, 2, at(3))]
    assert lanes.ready == 0


def test_a_lane_has_no_second_turn_while_a_claim_is_under_way() -> None:
    lanes = lanes_of()
    mark_due(lanes, A)

    [turn] = lanes.next_turns(now=0.0, room=10)
    mark_due(lanes, A)

    assert lanes.next_turns(now=0.0, room=10) == []
    lanes.claimed(turn, taken=0, last_due=None, upcoming=NOTHING_DUE, now=0.0)
    assert len(lanes.next_turns(now=0.0, room=10)) == 1


def test_a_claim_that_reaches_its_limit_puts_the_lane_at_the_end_of_the_line() -> None:
    lanes = lanes_of()
    mark_due(lanes, A, B)

    [first] = lanes.next_turns(now=0.0, room=1)
    lanes.claimed(first, taken=1, last_due=at(7), upcoming=NOTHING_DUE, now=0.0)

    assert [turn.webhook_id for turn in lanes.next_turns(now=0.0, room=2)] == [B, A]
    assert first.webhook_id == A


def test_a_claim_below_its_limit_ends_the_turns_until_the_next_due_time() -> None:
    lanes = lanes_of()
    mark_due(lanes, A)

    [turn] = lanes.next_turns(now=0.0, room=10)
    lanes.claimed(turn, taken=1, last_due=at(0), upcoming=NextDue(5.0, at(5)), now=0.0)

    assert lanes.next_turns(now=4.9, room=10) == []
    assert lanes.next_turns(now=5.0, room=10) == [LaneTurn(A, 1, at(5))]


def test_an_attempt_marked_due_during_a_claim_has_a_turn_from_the_earlier_time_on() -> None:
    lanes = lanes_of()
    mark_due(lanes, A)

    [turn] = lanes.next_turns(now=0.0, room=10)
    mark_due(lanes, A, due_at=0.0, since=at(2), now=0.0)
    mark_due(lanes, A, due_at=9.0, since=at(9), now=0.0)
    lanes.claimed(turn, taken=0, last_due=None, upcoming=NextDue(5.0, at(5)), now=0.0)

    assert [turn.since for turn in lanes.next_turns(now=0.0, room=10)] == [at(2)]


def test_an_unknown_due_time_makes_the_claim_read_from_the_start() -> None:
    lanes = lanes_of()
    mark_due(lanes, A, due_at=0.0, since=at(2), now=0.0)
    mark_due(lanes, A, due_at=0.0, since=None, now=0.0)
    mark_due(lanes, A, due_at=0.0, since=at(1), now=0.0)

    assert [turn.since for turn in lanes.next_turns(now=0.0, room=10)] == [None]


def test_after_a_failed_claim_the_same_lanes_have_turns_again() -> None:
    lanes = lanes_of()
    mark_due(lanes, A, B)

    turns = lanes.next_turns(now=0.0, room=10)
    mark_due(lanes, A, due_at=0.0, since=at(-1), now=0.0)
    lanes.claim_failed(turns, now=0.0)

    assert {(turn.webhook_id, turn.since) for turn in lanes.next_turns(now=0.0, room=10)} == {
        (A, at(-1)),
        (B, at(0)),
    }


def test_the_room_is_shared_equally_among_the_waiting_lanes() -> None:
    lanes = lanes_of(widest=50)
    for webhook_id in (A, B, C):
        widen(lanes, webhook_id)
    mark_due(lanes, A, B, C)

    assert [turn.limit for turn in lanes.next_turns(now=0.0, room=12)] == [4, 4, 4]


@pytest.mark.parametrize("room", [0, -1, -1000])
def test_no_room_means_no_turns(room: int) -> None:
    lanes = lanes_of()
    mark_due(lanes, A)

    assert lanes.next_turns(now=0.0, room=room) == []
    assert len(lanes.next_turns(now=0.0, room=1)) == 1
