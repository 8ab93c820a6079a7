"""When lanes come due, and which of them are remembered."""

import pytest

from daemon.core.scheduling import calendar, known_lanes
from daemon.core.scheduling.endpoint_lane import NOTHING_DUE, NextDue
from daemon.core.scheduling.lanes import LaneTurn
from tests.core.scheduling.driven_lanes import (
    A,
    B,
    at,
    claim_nothing,
    endpoint,
    finish,
    lanes_of,
    mark_due,
    widen,
)


def test_the_next_due_time_is_that_of_the_earliest_lane() -> None:
    lanes = lanes_of()
    assert lanes.next_due_in(now=0.0) is None

    mark_due(lanes, A, due_at=9.0)
    mark_due(lanes, B, due_at=4.0)

    assert lanes.next_due_in(now=1.0) == 3.0
    assert lanes.next_due_in(now=100.0) == 0.0


def test_an_earlier_due_time_replaces_a_later_one() -> None:
    lanes = lanes_of()
    mark_due(lanes, A, due_at=9.0)
    mark_due(lanes, A, due_at=4.0)
    mark_due(lanes, A, due_at=6.0)

    assert lanes.next_due_in(now=0.0) == 4.0
    assert [turn.since for turn in lanes.next_turns(now=4.0, room=10)] == [at(4)]


def test_a_lane_whose_claim_finds_nothing_is_scheduled_for_its_next_due_time() -> None:
    lanes = lanes_of()
    mark_due(lanes, A, due_at=5.0)
    mark_due(lanes, A, due_at=0.0)
    [turn] = lanes.next_turns(now=0.0, room=10)
    lanes.claimed(turn, taken=0, last_due=None, upcoming=NextDue(9.0, at(9)), now=0.0)

    assert lanes.next_turns(now=5.0, room=10) == []
    assert lanes.next_turns(now=9.0, room=10) == [LaneTurn(A, 2, at(9))]


def test_the_calendar_does_not_grow_with_earlier_due_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calendar, "MAX_STALE_ENTRIES", 10)
    lanes = lanes_of()
    tomorrow = NextDue(86_400.0, at(86_400))
    for second in range(1000):  # each second a first retry, and all the while the last one waits
        mark_due(lanes, A, due_at=second + 0.5, now=second)
        for turn in lanes.next_turns(now=second + 0.5, room=10):
            lanes.claimed(turn, taken=0, last_due=None, upcoming=tomorrow, now=second + 0.5)
        lanes.forget_idle()

    assert len(lanes._calendar) < 20
    assert [turn.since for turn in lanes.next_turns(now=86_400.0, room=10)] == [at(86_400)]


def test_only_idle_lanes_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_lanes, "MAX_LANES", 0)
    lanes = lanes_of()
    claiming, waiting, later, busy, idle = (endpoint(n) for n in range(5))
    mark_due(lanes, busy, idle)
    [claimed, empty] = lanes.next_turns(now=0.0, room=10)
    lanes.claimed(claimed, taken=1, last_due=at(0), upcoming=NOTHING_DUE, now=0.0)
    claim_nothing(lanes, [empty])
    mark_due(lanes, claiming)
    [turn] = lanes.next_turns(now=0.0, room=10)
    mark_due(lanes, waiting)
    mark_due(lanes, later, due_at=9.0)

    lanes.forget_idle()

    assert set(lanes._lanes._lanes) == {claiming, waiting, later, busy}
    claim_nothing(lanes, [turn])
    finish(lanes, busy)
    assert [turn.webhook_id for turn in lanes.next_turns(now=9.0, room=10)] == [waiting, later]


def test_few_lanes_are_all_remembered() -> None:
    lanes = lanes_of()
    widen(lanes, A)

    lanes.forget_idle()
    mark_due(lanes, A)

    assert [turn.limit for turn in lanes.next_turns(now=0.0, room=100)] == [10]
