"""Lanes take turns: nobody starves, nobody takes more than a share, and nothing is forgotten."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from daemon.core.model.ids import WebhookId
from daemon.core.scheduling import calendar
from daemon.core.scheduling import lanes as lanes_module
from daemon.core.scheduling.lane import NOTHING_DUE, SLOW_MS, NextDue
from daemon.core.scheduling.lanes import Lanes, LaneTurn
from daemon.core.scheduling.slots import SLOW_SHARE

EPOCH = datetime(2025, 1, 1, tzinfo=UTC)


def endpoint(number: int) -> WebhookId:
    return WebhookId(UUID(int=number))


A, B, C = endpoint(1), endpoint(2), endpoint(3)


def at(seconds: float) -> datetime:
    """The database's time, which the lanes only hand through."""
    return EPOCH + timedelta(seconds=seconds)


def lanes_of(*, slots: int = 100, widest: int = 10) -> Lanes:
    return Lanes(slots=slots, widest=widest)


def ring(lanes: Lanes, *ids: WebhookId, due_at: float = 0.0, now: float = 0.0) -> None:
    for webhook_id in ids:
        lanes.mark_due(webhook_id, due_at, at(due_at), now=now)


def take(
    lanes: Lanes, *, now: float = 0.0, room: int = 1000, upcoming: NextDue = NOTHING_DUE
) -> list[LaneTurn]:
    """Take the turns, and have each of them find as much as it asked for."""
    turns = lanes.next_turns(now=now, room=room)
    for turn in turns:
        lanes.claimed(turn, taken=turn.limit, last_due=at(now), upcoming=upcoming, now=now)
    return turns


def find_nothing(lanes: Lanes, turns: list[LaneTurn], *, now: float = 0.0) -> None:
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
    """Let the lane succeed until its window is as wide as it gets."""
    for _ in range(lanes.widest + 1):
        ring(lanes, webhook_id)
        for turn in take(lanes):
            finish(lanes, turn.webhook_id, times=turn.limit)
    find_nothing(lanes, lanes.next_turns(now=0.0, room=1000))


def slow_down(lanes: Lanes, webhook_id: WebhookId) -> None:
    """Let the lane be so slow once that it counts as slow."""
    ring(lanes, webhook_id)
    [turn] = take(lanes, room=1)
    finish(lanes, webhook_id, times=turn.limit, took_ms=5 * SLOW_MS)
    find_nothing(lanes, lanes.next_turns(now=0.0, room=1000))


# Turns.


def test_a_lane_that_nobody_rang_for_has_no_turn() -> None:
    lanes = lanes_of()

    assert lanes.next_turns(now=0.0, room=10) == []
    assert lanes.ready == 0


def test_a_lane_that_is_due_is_asked_from_where_it_was_heard_of() -> None:
    lanes = lanes_of()
    lanes.mark_due(A, 5.0, at(3), now=5.0)

    assert lanes.ready == 1
    assert lanes.next_turns(now=5.0, room=10) == [LaneTurn(A, 2, at(3))]
    assert lanes.ready == 0


def test_a_lane_has_one_turn_until_it_is_answered() -> None:
    lanes = lanes_of()
    ring(lanes, A)

    [turn] = lanes.next_turns(now=0.0, room=10)
    ring(lanes, A)

    assert lanes.next_turns(now=0.0, room=10) == []
    lanes.claimed(turn, taken=0, last_due=None, upcoming=NOTHING_DUE, now=0.0)
    assert len(lanes.next_turns(now=0.0, room=10)) == 1


def test_a_full_catch_means_another_turn_from_the_last_due_time_on_at_the_end_of_the_line() -> None:
    lanes = lanes_of()
    ring(lanes, A, B)

    [first] = lanes.next_turns(now=0.0, room=1)
    lanes.claimed(first, taken=1, last_due=at(7), upcoming=NOTHING_DUE, now=0.0)

    assert [turn.webhook_id for turn in lanes.next_turns(now=0.0, room=2)] == [B, A]
    assert first.webhook_id == A


def test_a_catch_that_is_not_full_ends_the_turns_until_something_comes_due() -> None:
    lanes = lanes_of()
    ring(lanes, A)

    [turn] = lanes.next_turns(now=0.0, room=10)
    lanes.claimed(turn, taken=1, last_due=at(0), upcoming=NextDue(5.0, at(5)), now=0.0)

    assert lanes.next_turns(now=4.9, room=10) == []
    assert lanes.next_turns(now=5.0, room=10) == [LaneTurn(A, 1, at(5))]


def test_what_was_heard_while_asked_is_asked_for_again_from_the_earlier_place() -> None:
    lanes = lanes_of()
    ring(lanes, A)

    [turn] = lanes.next_turns(now=0.0, room=10)
    lanes.mark_due(A, 0.0, at(2), now=0.0)
    lanes.mark_due(A, 9.0, at(9), now=0.0)
    lanes.claimed(turn, taken=0, last_due=None, upcoming=NextDue(5.0, at(5)), now=0.0)

    assert [turn.since for turn in lanes.next_turns(now=0.0, room=10)] == [at(2)]


def test_a_place_that_is_not_known_means_to_look_from_the_start() -> None:
    lanes = lanes_of()
    lanes.mark_due(A, 0.0, at(2), now=0.0)
    lanes.mark_due(A, 0.0, None, now=0.0)
    lanes.mark_due(A, 0.0, at(1), now=0.0)

    assert [turn.since for turn in lanes.next_turns(now=0.0, room=10)] == [None]


def test_after_a_claim_that_failed_the_same_is_asked_again() -> None:
    lanes = lanes_of()
    ring(lanes, A, B)

    turns = lanes.next_turns(now=0.0, room=10)
    lanes.mark_due(A, 0.0, at(-1), now=0.0)
    lanes.claim_failed(turns, now=0.0)

    assert {(turn.webhook_id, turn.since) for turn in lanes.next_turns(now=0.0, room=10)} == {
        (A, at(-1)),
        (B, at(0)),
    }


def test_the_room_is_shared_among_those_who_wait() -> None:
    lanes = lanes_of(widest=50)
    for webhook_id in (A, B, C):
        widen(lanes, webhook_id)
    ring(lanes, A, B, C)

    assert [turn.limit for turn in lanes.next_turns(now=0.0, room=12)] == [4, 4, 4]


@pytest.mark.parametrize("room", [0, -1, -1000])
def test_no_room_means_no_turns(room: int) -> None:
    lanes = lanes_of()
    ring(lanes, A)

    assert lanes.next_turns(now=0.0, room=room) == []
    assert len(lanes.next_turns(now=0.0, room=1)) == 1


# Windows.


def test_a_window_opens_with_each_success_up_to_the_widest() -> None:
    lanes = lanes_of(widest=5)
    widen(lanes, A)
    ring(lanes, A)

    assert [turn.limit for turn in lanes.next_turns(now=0.0, room=100)] == [5]


def test_a_lane_that_only_fails_is_asked_for_one_and_never_for_none() -> None:
    lanes = lanes_of()
    widen(lanes, A)
    for _ in range(10):
        ring(lanes, A)
        for turn in take(lanes):
            finish(lanes, A, times=turn.limit, delivered=False)

    ring(lanes, A)
    assert [turn.limit for turn in take(lanes)] == [1]
    ring(lanes, A)
    assert lanes.next_turns(now=0.0, room=100) == []
    finish(lanes, A, delivered=False)
    assert [turn.limit for turn in lanes.next_turns(now=0.0, room=100)] == [1]


def test_an_endpoint_that_is_known_to_fail_begins_narrow() -> None:
    lanes = lanes_of()
    lanes.mark_due(A, 0.0, at(0), now=0.0, failing=True)
    lanes.mark_due(B, 0.0, at(0), now=0.0)

    assert [turn.limit for turn in lanes.next_turns(now=0.0, room=100)] == [1, 2]


def test_the_widest_bounds_the_first_window_too() -> None:
    lanes = lanes_of(widest=1)
    ring(lanes, A)

    assert [turn.limit for turn in lanes.next_turns(now=0.0, room=100)] == [1]


def test_a_lane_whose_window_shrinks_while_it_waits_comes_back_when_it_has_room() -> None:
    lanes = lanes_of(widest=8)
    widen(lanes, A)
    ring(lanes, A)
    take(lanes, room=4)  # four in flight, and again in line with a window of eight
    finish(lanes, A, delivered=False)
    finish(lanes, A, delivered=False)
    assert lanes.next_turns(now=0.0, room=100) == []  # two in flight, a window of two

    finish(lanes, A, delivered=False)
    finish(lanes, A, delivered=False)

    assert [turn.limit for turn in lanes.next_turns(now=0.0, room=100)] == [1]


def test_a_wide_lane_waits_until_a_quarter_of_its_window_is_free() -> None:
    lanes = lanes_of(widest=8)
    widen(lanes, A)
    ring(lanes, A)
    take(lanes)
    finish(lanes, A)
    assert lanes.next_turns(now=0.0, room=100) == []

    finish(lanes, A)

    assert [turn.limit for turn in lanes.next_turns(now=0.0, room=100)] == [2]


def test_until_half_of_a_window_is_taken_the_rest_of_that_half_is_free() -> None:
    lanes = lanes_of(widest=10)
    unknown = lanes.half_free(A)
    widen(lanes, A)
    wide = lanes.half_free(A)
    ring(lanes, A)
    take(lanes, room=7)

    assert (unknown, wide, lanes.half_free(A)) == (1, 5, -2)


# Slow lanes.


def test_slow_lanes_leave_a_quarter_of_all_slots_to_the_others() -> None:
    lanes = lanes_of(slots=8, widest=8)
    slow = [endpoint(n) for n in range(10, 20)]
    for webhook_id in slow:
        slow_down(lanes, webhook_id)
    ring(lanes, *slow)

    turns = take(lanes)
    ring(lanes, A)

    assert sum(turn.limit for turn in turns) == 6
    assert [turn.webhook_id for turn in lanes.next_turns(now=0.0, room=100)] == [A]


def test_one_slow_lane_alone_leaves_a_quarter_of_all_slots_too() -> None:
    lanes = lanes_of(slots=8, widest=100)
    widen(lanes, A)
    slow_down(lanes, A)
    ring(lanes, A)

    assert [turn.limit for turn in lanes.next_turns(now=0.0, room=100)] == [6]


def test_a_lane_that_is_quick_again_counts_as_quick() -> None:
    lanes = lanes_of(slots=4, widest=4)
    slow_down(lanes, A)
    for _ in range(10):
        ring(lanes, A)
        for turn in take(lanes):
            finish(lanes, A, times=turn.limit, took_ms=1.0)
    find_nothing(lanes, lanes.next_turns(now=0.0, room=100))
    ring(lanes, A)

    assert [turn.limit for turn in lanes.next_turns(now=0.0, room=100)] == [4]


def test_a_slow_lane_is_not_starved_by_quick_ones_when_slots_come_free_one_at_a_time() -> None:
    lanes = lanes_of(slots=4)
    slow_down(lanes, A)
    ring(lanes, A, B, C)

    picked = []
    for _ in range(4):
        [turn] = take(lanes, room=1)
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
    ring(lanes, *ids)

    order: list[WebhookId] = []
    while len(order) < 5 * len(ids):
        for turn in take(lanes, room=room):
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
    ring(lanes, A)

    assert [turn.webhook_id for turn in lanes.next_turns(now=0.0, room=1)] == [A]


# The calendar.


def test_the_calendar_says_how_long_to_rest() -> None:
    lanes = lanes_of()
    assert lanes.next_due_in(now=0.0) is None

    ring(lanes, A, due_at=9.0)
    ring(lanes, B, due_at=4.0)

    assert lanes.next_due_in(now=1.0) == 3.0
    assert lanes.next_due_in(now=100.0) == 0.0


def test_a_lane_that_is_due_earlier_than_was_thought_is_not_kept_waiting() -> None:
    lanes = lanes_of()
    ring(lanes, A, due_at=9.0)
    ring(lanes, A, due_at=4.0)
    ring(lanes, A, due_at=6.0)

    assert lanes.next_due_in(now=0.0) == 4.0
    assert [turn.since for turn in lanes.next_turns(now=4.0, room=10)] == [at(4)]


def test_a_lane_whose_early_note_came_to_nothing_is_noted_again() -> None:
    lanes = lanes_of()
    ring(lanes, A, due_at=5.0)
    ring(lanes, A, due_at=0.0)
    [turn] = lanes.next_turns(now=0.0, room=10)
    lanes.claimed(turn, taken=0, last_due=None, upcoming=NextDue(9.0, at(9)), now=0.0)

    assert lanes.next_turns(now=5.0, room=10) == []
    assert lanes.next_turns(now=9.0, room=10) == [LaneTurn(A, 2, at(9))]


def test_the_calendar_does_not_grow_with_every_early_wake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendar, "MAX_STALE_ENTRIES", 10)
    lanes = lanes_of()
    tomorrow = NextDue(86_400.0, at(86_400))
    for second in range(1000):  # each second a first retry, and all the while the last one waits
        ring(lanes, A, due_at=second + 0.5, now=second)
        for turn in lanes.next_turns(now=second + 0.5, room=10):
            lanes.claimed(turn, taken=0, last_due=None, upcoming=tomorrow, now=second + 0.5)
        lanes.forget_idle()

    assert len(lanes._calendar) < 20
    assert [turn.since for turn in lanes.next_turns(now=86_400.0, room=10)] == [at(86_400)]


def test_only_idle_lanes_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_module, "MAX_LANES", 0)
    lanes = lanes_of()
    asked, waiting, later, busy, idle = (endpoint(n) for n in range(5))
    ring(lanes, busy, idle)
    [catch, miss] = lanes.next_turns(now=0.0, room=10)
    lanes.claimed(catch, taken=1, last_due=at(0), upcoming=NOTHING_DUE, now=0.0)
    find_nothing(lanes, [miss])
    ring(lanes, asked)
    [turn] = lanes.next_turns(now=0.0, room=10)
    ring(lanes, waiting)
    ring(lanes, later, due_at=9.0)

    lanes.forget_idle()

    assert set(lanes._lanes) == {asked, waiting, later, busy}
    find_nothing(lanes, [turn])
    finish(lanes, busy)
    assert [turn.webhook_id for turn in lanes.next_turns(now=9.0, room=10)] == [waiting, later]


def test_few_lanes_are_all_remembered() -> None:
    lanes = lanes_of()
    widen(lanes, A)

    lanes.forget_idle()
    ring(lanes, A)

    assert [turn.limit for turn in lanes.next_turns(now=0.0, room=100)] == [10]


def test_an_attempt_that_is_given_back_changes_neither_window_nor_pace() -> None:
    lanes = lanes_of(slots=100, widest=30)
    widen(lanes, A)
    slow_down(lanes, A)
    lane = lanes._lanes[A]
    window, mean_ms = lane.window, lane.mean_ms

    for _ in range(5):
        ring(lanes, A)
        [turn] = take(lanes, room=1)
        lanes.returned(turn.webhook_id, now=0.0)

    assert (lane.window, lane.mean_ms, lane.slow) == (window, mean_ms, True)
    assert lanes.in_flight == 0
    assert lanes._slots.free_for_slow == 75


def test_the_longest_wait_is_that_of_the_first_quick_lane_in_line() -> None:
    lanes = lanes_of()
    assert lanes.waited(now=0.0) == 0
    ring(lanes, A, now=1.0)
    ring(lanes, B, now=5.0)

    assert lanes.waited(now=7.0) == 6.0
    lanes.next_turns(now=7.0, room=1)
    assert lanes.waited(now=7.0) == 2.0


def test_slow_lanes_that_wait_for_their_share_are_no_lag_of_ours() -> None:
    lanes = lanes_of()
    slow_down(lanes, A)
    ring(lanes, A, now=1.0)

    assert lanes.ready == 1
    assert lanes.waited(now=100.0) == 0


# Against a model: a database that is simple, and a clock.


@dataclass
class Row:
    """An attempt that waits."""

    number: int
    webhook_id: WebhookId
    due_at: float


class World(RuleBasedStateMachine):
    """The lanes between a database that holds the truth and a worker who trusts only them."""

    endpoints = [endpoint(n) for n in range(6)]  # noqa: RUF012

    @initialize(slots=st.integers(1, 12), widest=st.integers(1, 10))
    def begin(self, slots: int, widest: int) -> None:
        self.lanes = Lanes(slots=slots, widest=widest)
        self.slots, self.widest = slots, widest
        self.now = 0.0
        self.numbers = count()
        self.waiting: list[Row] = []
        self.in_flight: list[Row] = []
        self.asked: list[LaneTurn] = []
        self.picks_since: dict[WebhookId, int] = {}

    # What the world does.

    @rule(
        webhook_id=st.sampled_from(endpoints),
        wait=st.sampled_from([0.0, 0.0, 1.0, 5.0, 60.0]),
        rows=st.integers(1, 5),
        known=st.booleans(),
        failing=st.booleans(),
    )
    def insert(
        self, webhook_id: WebhookId, wait: float, rows: int, known: bool, failing: bool
    ) -> None:
        due_at = self.now + wait
        self.waiting += [Row(next(self.numbers), webhook_id, due_at) for _ in range(rows)]
        since = at(due_at) if known else None
        self.lanes.mark_due(webhook_id, due_at, since, now=self.now, failing=failing)

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 60.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: not self.asked)
    @rule(room=st.integers(0, 20))
    def ask(self, room: int) -> None:
        held = {e: len(self._of(self.in_flight, e)) for e in self.endpoints}
        slow_held = sum(held[e] for e in self.endpoints if self._is_slow(e))
        turns = self.lanes.next_turns(now=self.now, room=room)

        asked = [turn.webhook_id for turn in turns]
        slow_asked = sum(turn.limit for turn in turns if self._is_slow(turn.webhook_id))
        assert len(set(asked)) == len(asked)
        assert all(turn.limit >= 1 for turn in turns)
        assert all(held[turn.webhook_id] + turn.limit <= self._window(turn) for turn in turns)
        assert sum(turn.limit for turn in turns) <= max(0, room)
        assert len(self.in_flight) + sum(turn.limit for turn in turns) <= self.slots
        assert slow_asked == 0 or slow_held + slow_asked <= max(1, int(self.slots * SLOW_SHARE))
        self.asked = turns

    @precondition(lambda self: self.asked)
    @rule()
    def answer(self) -> None:
        for turn in self.asked:
            due = [
                row
                for row in self._of(self.waiting, turn.webhook_id)
                if row.due_at <= self.now and (turn.since is None or at(row.due_at) >= turn.since)
            ]
            caught = sorted(due, key=lambda row: row.due_at)[: turn.limit]
            self.waiting = [row for row in self.waiting if row not in caught]
            self.in_flight += caught
            self.lanes.claimed(
                turn,
                taken=len(caught),
                last_due=at(caught[-1].due_at) if caught else None,
                upcoming=self._upcoming(turn.webhook_id),
                now=self.now,
            )
        self.asked = []

    @precondition(lambda self: self.asked)
    @rule()
    def fail_to_answer(self) -> None:
        self.lanes.claim_failed(self.asked, now=self.now)
        self.asked = []

    @precondition(lambda self: self.in_flight)
    @rule(
        index=st.integers(0, 100),
        took_ms=st.sampled_from([1.0, 100.0, 5000.0]),
        delivered=st.booleans(),
    )
    def finish(self, index: int, took_ms: float, delivered: bool) -> None:
        row = self.in_flight.pop(index % len(self.in_flight))
        self.lanes.finished(row.webhook_id, took_ms=took_ms, delivered=delivered, now=self.now)

    @precondition(lambda self: self.in_flight)
    @rule(index=st.integers(0, 100))
    def give_back(self, index: int) -> None:
        row = self.in_flight.pop(index % len(self.in_flight))
        lane = self.lanes._lanes[row.webhook_id]
        before = (lane.window, lane.mean_ms)
        self.lanes.returned(row.webhook_id, now=self.now)

        assert (lane.window, lane.mean_ms) == before
        self.waiting.append(row)
        self.lanes.mark_due(row.webhook_id, row.due_at, at(row.due_at), now=self.now)

    @rule()
    def forget(self) -> None:
        self.lanes.forget_idle()

    # What must hold.

    @invariant()
    def counts_agree(self) -> None:
        assert self.lanes.in_flight == len(self.in_flight)
        assert self.lanes.in_flight <= self.slots
        slow = sum(1 for row in self.in_flight if self._is_slow(row.webhook_id))
        assert self.lanes._slots._slow_in_flight == slow

    @invariant()
    def nothing_waits_unknown(self) -> None:
        """Whatever waits is in line, in the calendar, or will be put there by what is under way."""
        self.lanes.next_turns(now=self.now, room=0)  # reads the calendar
        for row in self.waiting:
            lane = self.lanes._lanes[row.webhook_id]
            in_line = any(row.webhook_id in line for line in self.lanes._ready)
            scheduled = self.lanes._calendar._due_at.get(row.webhook_id, math.inf)
            assert in_line or lane.claiming or lane.in_flight > 0 or scheduled <= row.due_at

    def teardown(self) -> None:
        """When the world stands still and only the worker goes on, everything is delivered."""
        if not hasattr(self, "lanes"):
            return
        for _ in range(10 * (len(self.waiting) + len(self.in_flight)) + 10):
            self._work()
            if not (self.waiting or self.in_flight):
                return
        raise AssertionError(f"left waiting: {self.waiting}")

    def _work(self) -> None:
        if self.asked:
            self.answer()
        for _ in list(self.in_flight):
            self.finish(0, 100.0, True)
        self.ask(20)
        if not self.asked:
            rest = self.lanes.next_due_in(now=self.now)
            assert rest is not None or not self.waiting, "nobody would ever wake"
            self.now += rest or 0.0

    def _of(self, rows: list[Row], webhook_id: WebhookId) -> list[Row]:
        return [row for row in rows if row.webhook_id == webhook_id]

    def _upcoming(self, webhook_id: WebhookId) -> NextDue:
        due = [row.due_at for row in self._of(self.waiting, webhook_id) if row.due_at > self.now]
        return NextDue(min(due), at(min(due))) if due else NOTHING_DUE

    def _is_slow(self, webhook_id: WebhookId) -> bool:
        lane = self.lanes._lanes.get(webhook_id)
        return lane is not None and lane.slow

    def _window(self, turn: LaneTurn) -> float:
        window = self.lanes._lanes[turn.webhook_id].window
        assert 1 <= window <= self.widest
        return window


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=80, stateful_step_count=60, deadline=None)
