"""Random steps of lanes between a simple database, which knows what is due, and a dispatcher."""

import math
from dataclasses import dataclass
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from daemon.core.model.ids import WebhookId
from daemon.core.scheduling.endpoint_lane import NOTHING_DUE, NextDue
from daemon.core.scheduling.lanes import Lanes, LaneTurn
from daemon.core.scheduling.total_slots import SLOW_SHARE
from tests.core.scheduling.driven_lanes import (
    at,
    endpoint,
)

LEASE = 30.0


@dataclass
class Row:
    """A pending attempt."""

    number: int
    webhook_id: WebhookId
    due_at: float


class LanesMachine(RuleBasedStateMachine):
    """Lanes between a database that knows what is due and a dispatcher that knows only lanes."""

    endpoints = [endpoint(n) for n in range(6)]  # noqa: RUF012

    @initialize(slots=st.integers(1, 12), widest=st.integers(1, 10))
    def begin(self, slots: int, widest: int) -> None:
        self.lanes = Lanes(slots=slots, widest=widest)
        self.slots, self.widest = slots, widest
        self.now = 0.0
        self.numbers = count()
        self.waiting: list[Row] = []
        self.in_flight: list[Row] = []
        self.turns: list[LaneTurn] = []
        self.next_probe_at: dict[WebhookId, float] = {}  # of endpoints that are failing

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

    @precondition(lambda self: not self.turns)
    @rule(room=st.integers(0, 20))
    def take_turns(self, room: int) -> None:
        held = {e: len(_rows_of(self.in_flight, e)) for e in self.endpoints}
        slow_held = sum(held[e] for e in self.endpoints if self._is_slow(e))
        turns = self.lanes.next_turns(now=self.now, room=room)

        ids = [turn.webhook_id for turn in turns]
        slow_claims = sum(turn.limit for turn in turns if self._is_slow(turn.webhook_id))
        assert len(set(ids)) == len(ids)
        assert all(turn.limit >= 1 for turn in turns)
        assert all(held[turn.webhook_id] + turn.limit <= self._window(turn) for turn in turns)
        assert sum(turn.limit for turn in turns) <= max(0, room)
        assert len(self.in_flight) + sum(turn.limit for turn in turns) <= self.slots
        assert slow_claims == 0 or slow_held + slow_claims <= max(1, int(self.slots * SLOW_SHARE))
        self.turns = turns

    @rule(webhook_id=st.sampled_from(endpoints), wait=st.sampled_from([1.0, 5.0, 60.0]))
    def begin_failing(self, webhook_id: WebhookId, wait: float) -> None:
        self.next_probe_at[webhook_id] = self.now + wait
        self.lanes.space(webhook_id, until=self.now + wait, now=self.now)

    @precondition(lambda self: self.next_probe_at)
    @rule(index=st.integers(0, 100))
    def recover_elsewhere(self, index: int) -> None:
        webhook_id = sorted(self.next_probe_at)[index % len(self.next_probe_at)]
        del self.next_probe_at[webhook_id]
        self.lanes.mark_due(webhook_id, self.now, None, now=self.now, unspaced=True)

    @precondition(lambda self: self.turns)
    @rule()
    def claim(self) -> None:
        for turn in self.turns:
            due = [
                row
                for row in _rows_of(self.waiting, turn.webhook_id)
                if row.due_at <= self.now and (turn.since is None or at(row.due_at) >= turn.since)
            ]
            probe_at = self.next_probe_at.get(turn.webhook_id)
            limit = turn.limit if probe_at is None else int(probe_at <= self.now)
            claimed = sorted(due, key=lambda row: row.due_at)[:limit]
            self.waiting = [row for row in self.waiting if row not in claimed]
            self.in_flight += claimed
            if probe_at is not None:
                if claimed:
                    self.next_probe_at[turn.webhook_id] = self.now + LEASE
                self._claimed_while_failing(turn, len(claimed))
                continue
            self.lanes.claimed(
                turn,
                taken=len(claimed),
                last_due=at(claimed[-1].due_at) if claimed else None,
                upcoming=_upcoming(self.waiting, turn.webhook_id, after=self.now),
                now=self.now,
            )
        self.turns = []

    def _claimed_while_failing(self, turn: LaneTurn, taken: int) -> None:
        self.lanes.claimed(
            turn,
            taken=taken,
            last_due=None,
            upcoming=_upcoming(self.waiting, turn.webhook_id, after=-math.inf),
            now=self.now,
            spaced_until=self.next_probe_at[turn.webhook_id],
        )

    @precondition(lambda self: self.turns)
    @rule()
    def fail_claim(self) -> None:
        self.lanes.claim_failed(self.turns, now=self.now)
        self.turns = []

    @precondition(lambda self: self.in_flight)
    @rule(
        index=st.integers(0, 100),
        took_ms=st.sampled_from([1.0, 100.0, 5000.0]),
        delivered=st.booleans(),
    )
    def finish(self, index: int, took_ms: float, delivered: bool) -> None:
        row = self.in_flight.pop(index % len(self.in_flight))
        self.lanes.finished(row.webhook_id, took_ms=took_ms, delivered=delivered, now=self.now)
        if row.webhook_id not in self.next_probe_at:
            return
        if delivered:
            del self.next_probe_at[row.webhook_id]
            self.lanes.mark_due(row.webhook_id, self.now, None, now=self.now, unspaced=True)
        else:
            self.begin_failing(row.webhook_id, 2.0)

    @precondition(lambda self: self.in_flight)
    @rule(index=st.integers(0, 100))
    def give_back(self, index: int) -> None:
        row = self.in_flight.pop(index % len(self.in_flight))
        lane = self.lanes._lanes[row.webhook_id]
        before = (lane.window, lane.mean_ms)
        self.lanes.returned(row.webhook_id, now=self.now)

        assert (lane.window, lane.mean_ms) == before
        self.waiting.append(row)
        if row.webhook_id in self.next_probe_at:
            self.next_probe_at[row.webhook_id] = self.now
        self.lanes.mark_due(row.webhook_id, row.due_at, at(row.due_at), now=self.now, unspaced=True)

    @rule()
    def forget(self) -> None:
        self.lanes.forget_idle()

    @invariant()
    def counts_agree(self) -> None:
        assert self.lanes.in_flight == len(self.in_flight)
        assert self.lanes.in_flight <= self.slots
        slow = sum(1 for row in self.in_flight if self._is_slow(row.webhook_id))
        assert self.lanes._slots._slow_in_flight == slow

    @invariant()
    def every_pending_attempt_is_known(self) -> None:
        """Its lane is in line or scheduled, or will be when a claim or an attempt ends."""
        self.lanes.next_turns(now=self.now, room=0)  # reads the calendar
        for row in self.waiting:
            lane = self.lanes._lanes[row.webhook_id]
            in_line = any(row.webhook_id in line for line in self.lanes._ready)
            scheduled = self.lanes._calendar._due_at.get(row.webhook_id, math.inf)
            may_begin_at = max(row.due_at, self.next_probe_at.get(row.webhook_id, row.due_at))
            assert in_line or lane.claiming or lane.in_flight > 0 or scheduled <= may_begin_at

    def teardown(self) -> None:
        """When only the dispatcher goes on, everything is delivered."""
        if not hasattr(self, "lanes"):
            return
        for _ in range(10 * (len(self.waiting) + len(self.in_flight)) + 10):
            self._work()
            if not (self.waiting or self.in_flight):
                return
        raise AssertionError(f"left waiting: {self.waiting}")

    def _work(self) -> None:
        if self.turns:
            self.claim()
        for _ in list(self.in_flight):
            self.finish(0, 100.0, True)
        self.take_turns(20)
        if not self.turns:
            rest = self.lanes.next_due_in(now=self.now)
            assert rest is not None or not self.waiting, "the dispatcher would never wake"
            self.now += rest or 0.0

    def _is_slow(self, webhook_id: WebhookId) -> bool:
        lane = self.lanes._lanes.get(webhook_id)
        return lane is not None and lane.slow

    def _window(self, turn: LaneTurn) -> float:
        window = self.lanes._lanes[turn.webhook_id].window
        assert 1 <= window <= self.widest
        return window


def _rows_of(rows: list[Row], webhook_id: WebhookId) -> list[Row]:
    return [row for row in rows if row.webhook_id == webhook_id]


def _upcoming(rows: list[Row], webhook_id: WebhookId, *, after: float) -> NextDue:
    due = [row.due_at for row in _rows_of(rows, webhook_id) if row.due_at > after]
    return NextDue(min(due), at(min(due))) if due else NOTHING_DUE


TestLanes = LanesMachine.TestCase
TestLanes.settings = settings(max_examples=80, stateful_step_count=60, deadline=None)
