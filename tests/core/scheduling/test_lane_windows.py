"""The window of a lane: how many of its attempts may be in flight."""

from tests.core.scheduling.driven_lanes import (
    A,
    B,
    at,
    claim_all,
    finish,
    lanes_of,
    mark_due,
    slow_down,
    widen,
)


def test_a_window_opens_with_each_success_up_to_the_widest() -> None:
    lanes = lanes_of(widest=5)
    widen(lanes, A)
    mark_due(lanes, A)

    assert [turn.limit for turn in lanes.next_turns(now=0.0, room=100)] == [5]


def test_a_lane_that_only_fails_keeps_a_window_of_one() -> None:
    lanes = lanes_of()
    widen(lanes, A)
    for _ in range(10):
        mark_due(lanes, A)
        for turn in claim_all(lanes):
            finish(lanes, A, times=turn.limit, delivered=False)

    mark_due(lanes, A)
    assert [turn.limit for turn in claim_all(lanes)] == [1]
    mark_due(lanes, A)
    assert lanes.next_turns(now=0.0, room=100) == []
    finish(lanes, A, delivered=False)
    assert [turn.limit for turn in lanes.next_turns(now=0.0, room=100)] == [1]


def test_the_lane_of_a_failing_endpoint_begins_with_a_window_of_one() -> None:
    lanes = lanes_of()
    mark_due(lanes, A, due_at=0.0, since=at(0), now=0.0, failing=True)
    mark_due(lanes, B, due_at=0.0, since=at(0), now=0.0)

    assert [turn.limit for turn in lanes.next_turns(now=0.0, room=100)] == [1, 2]


def test_the_greatest_width_bounds_the_first_window_too() -> None:
    lanes = lanes_of(widest=1)
    mark_due(lanes, A)

    assert [turn.limit for turn in lanes.next_turns(now=0.0, room=100)] == [1]


def test_a_lane_whose_window_shrinks_in_line_returns_when_it_has_room() -> None:
    lanes = lanes_of(widest=8)
    widen(lanes, A)
    mark_due(lanes, A)
    claim_all(lanes, room=4)  # four in flight, and again in line with a window of eight
    finish(lanes, A, delivered=False)
    finish(lanes, A, delivered=False)
    assert lanes.next_turns(now=0.0, room=100) == []  # two in flight, a window of two

    finish(lanes, A, delivered=False)
    finish(lanes, A, delivered=False)

    assert [turn.limit for turn in lanes.next_turns(now=0.0, room=100)] == [1]


def test_a_wide_lane_waits_until_a_quarter_of_its_window_is_free() -> None:
    lanes = lanes_of(widest=8)
    widen(lanes, A)
    mark_due(lanes, A)
    claim_all(lanes)
    finish(lanes, A)
    assert lanes.next_turns(now=0.0, room=100) == []

    finish(lanes, A)

    assert [turn.limit for turn in lanes.next_turns(now=0.0, room=100)] == [2]


def test_half_free_is_what_is_left_of_half_the_window() -> None:
    lanes = lanes_of(widest=10)
    unknown = lanes.half_free(A)
    widen(lanes, A)
    wide = lanes.half_free(A)
    mark_due(lanes, A)
    claim_all(lanes, room=7)

    assert (unknown, wide, lanes.half_free(A)) == (1, 5, -2)


def test_an_attempt_that_is_given_back_changes_neither_window_nor_mean() -> None:
    lanes = lanes_of(slots=100, widest=30)
    widen(lanes, A)
    slow_down(lanes, A)
    lane = lanes._lanes[A]
    window, mean_ms = lane.window, lane.mean_ms

    for _ in range(5):
        mark_due(lanes, A)
        [turn] = claim_all(lanes, room=1)
        lanes.returned(turn.webhook_id, now=0.0)

    assert (lane.window, lane.mean_ms, lane.slow) == (window, mean_ms, True)
    assert lanes.in_flight == 0
    assert lanes._slots.free_with_reserve(unproven=True) == 75
