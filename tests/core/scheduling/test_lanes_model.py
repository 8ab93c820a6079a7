"""Random steps of lanes between a simple database, which knows what is due, and a dispatcher."""

import math
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.scheduling.endpoint_lane import NOTHING_DUE, NextDue
from daemon.core.scheduling.lanes import Lanes, LaneTurn
from daemon.core.scheduling.slots import UNPROVEN_SHARE, Held, Tenant
from tests.core.scheduling.driven_lanes import (
    at,
    endpoint,
    tenant,
)

LEASE = 30.0


@dataclass
class Row:
    """A pending attempt."""

    number: int
    webhook_id: WebhookId
    due_at: float
    slow: bool = False  # in flight for long


class LanesMachine(RuleBasedStateMachine):
    """Lanes between a database that knows what is due and a dispatcher that knows only lanes."""

    endpoints = [endpoint(n) for n in range(9)]  # noqa: RUF012
    tenants = {endpoint(n): tenant(n % 4) for n in range(9)}  # noqa: RUF012
    hosts = st.sampled_from([None, "192.0.2.1", "192.0.2.2"])

    @initialize(slots=st.integers(1, 40), widest=st.integers(1, 10))
    def begin(self, slots: int, widest: int) -> None:
        self.lanes = Lanes(slots=slots, widest=widest)
        self.slots, self.widest = slots, widest
        self.now = 0.0
        self.numbers = count()
        self.waiting: list[Row] = []
        self.in_flight: list[Row] = []
        self.turns: list[LaneTurn] = []
        self.next_probe_at: dict[WebhookId, float] = {}  # of endpoints that are failing
        self.blocked: set[WebhookId] = set()

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
        self._mark_due(webhook_id, due_at, since, failing=failing)

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 60.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: not self.turns)
    @rule(room=st.integers(0, 20))
    def take_turns(self, room: int) -> None:
        held = {e: len(_rows_of(self.in_flight, e)) for e in self.endpoints}
        unproven_held = sum(held[e] for e in self.endpoints if self._is_unproven(e))
        turns = self.lanes.next_turns(now=self.now, room=room)

        ids = [turn.webhook_id for turn in turns]
        unproven = [turn for turn in turns if self._is_unproven(turn.webhook_id)]
        unproven_claims = sum(turn.limit for turn in unproven)
        assert len(set(ids)) == len(ids)
        assert not self.blocked.intersection(ids)
        assert all(turn.limit >= 1 for turn in turns)
        assert all(held[turn.webhook_id] + turn.limit <= self._window(turn) for turn in turns)
        assert sum(turn.limit for turn in turns) <= max(0, room)
        assert len(self.in_flight) + sum(turn.limit for turn in turns) <= self.slots
        assert not unproven or unproven_held + unproven_claims <= self._share(UNPROVEN_SHARE)
        for turn in unproven:
            assert self._tenant(turn).unproven <= self._share(UNPROVEN_SHARE * 2 / 3)
        for turn in turns:
            host = self.lanes._lanes[turn.webhook_id].host
            assert self._tenant(turn).in_flight <= self._share(3 / 4)
            assert host is None or host.in_flight <= self._share(3 / 4)
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
        self._mark_due(webhook_id, self.now, None, unspaced=True)

    @precondition(lambda self: self.turns)
    @rule(host=hosts)
    def claim(self, host: str | None) -> None:
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
                host=host,
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
        host=hosts,
    )
    def finish(self, index: int, took_ms: float, delivered: bool, host: str | None) -> None:
        row = self.in_flight.pop(index % len(self.in_flight))
        self.lanes.finished(
            row.webhook_id,
            took_ms=took_ms,
            delivered=delivered,
            now=self.now,
            host=host,
            was_slow=row.slow,
        )
        if row.webhook_id not in self.next_probe_at:
            return
        if delivered:
            del self.next_probe_at[row.webhook_id]
            self._mark_due(row.webhook_id, self.now, None, unspaced=True)
        else:
            self.begin_failing(row.webhook_id, 2.0)

    @precondition(lambda self: self.in_flight)
    @rule(index=st.integers(0, 100))
    def slow_down(self, index: int) -> None:
        row = self.in_flight[index % len(self.in_flight)]
        if not row.slow:
            row.slow = True
            self.lanes.slowed(row.webhook_id)

    @rule(
        webhook_ids=st.sets(st.sampled_from(endpoints), max_size=2),
        of=st.sets(st.sampled_from([tenant(n) for n in range(4)]), max_size=2),
    )
    def block(self, webhook_ids: set[WebhookId], of: set[TenantId]) -> None:
        self.lanes.block(webhook_ids, tenants=of, now=self.now)
        self.blocked = webhook_ids | {each for each in self.endpoints if self.tenants[each] in of}

    @precondition(lambda self: self.in_flight)
    @rule(index=st.integers(0, 100), seconds=st.sampled_from([0.1, 2.0]))
    def rest(self, index: int, seconds: float) -> None:
        row = self.in_flight[index % len(self.in_flight)]
        self.lanes.rest(row.webhook_id, until=self.now + seconds)
        self.give_back(index)

    @precondition(lambda self: self.in_flight)
    @rule(index=st.integers(0, 100))
    def give_back(self, index: int) -> None:
        row = self.in_flight.pop(index % len(self.in_flight))
        lane = self.lanes._lanes[row.webhook_id]
        before = (lane.window, lane.mean_ms)
        self.lanes.returned(row.webhook_id, now=self.now, was_slow=row.slow)
        row.slow = False

        assert (lane.window, lane.mean_ms) == before
        self.waiting.append(row)
        if row.webhook_id in self.next_probe_at:
            self.next_probe_at[row.webhook_id] = self.now
        self._mark_due(row.webhook_id, row.due_at, at(row.due_at), unspaced=True)

    @rule()
    def forget(self) -> None:
        self.lanes.forget_idle()

    @invariant()
    def counts_agree(self) -> None:
        """Whatever a lane holds is counted in all, for its tenant, and for its host."""
        assert self.lanes.in_flight == len(self.in_flight)
        slots, lanes = self.lanes._slots, list(self.lanes._lanes._lanes.values())
        held = Counter[object]()
        for lane in lanes:
            claimable = sum(t.limit for t in self.turns if t.webhook_id == lane.webhook_id)
            in_flight = _rows_of(self.in_flight, lane.webhook_id)
            assert lane.held == len(in_flight) + claimable
            assert lane.slow_in_flight == sum(row.slow for row in in_flight)
            for each in ("all", lane.tenant.id, lane.host and lane.host.key):
                held[each] += lane.held
                held[each, "unproven"] += lane.held if lane.unproven else 0
                held[each, "slow"] += 0 if lane.unproven else lane.slow_in_flight
        hosts = self.lanes._lanes._hosts.values()
        groups: list[tuple[object, Held]] = [("all", slots)]
        groups += [(lane.tenant.id, lane.tenant) for lane in lanes]
        groups += [(host.key, host) for host in hosts]
        for key, group in groups:
            assert (group.in_flight, group.unproven) == (held[key], held[key, "unproven"])
        slow: list[tuple[object, int]] = [("all", slots.slow)]
        slow += [(lane.tenant.id, lane.tenant.slow) for lane in lanes]
        assert all(count == held[key, "slow"] for key, count in slow)
        assert slots.in_flight <= self.slots

    @invariant()
    def each_lane_waits_in_one_line(self) -> None:
        waiting = self.lanes._waiting
        parked = [lines for host in waiting._parked.values() for lines in host.parked]
        lines = [*waiting._lines.values(), *parked]
        in_line = [lane for each in lines for line in each._lines.values() for lane in line.lanes]
        known = self.lanes._lanes._lanes.values()
        assert len(in_line) == len(set(in_line)) == self.lanes.ready
        assert set(in_line) == {lane.webhook_id for lane in known if lane.line is not None}

    @invariant()
    def every_pending_attempt_is_known(self) -> None:
        """Its lane is in line or scheduled, or will be when a claim or an attempt ends."""
        self.lanes.next_turns(now=self.now, room=0)  # reads the calendar
        for row in self.waiting:
            lane = self.lanes._lanes[row.webhook_id]
            scheduled = self.lanes._calendar._due_at.get(row.webhook_id, math.inf)
            may_begin_at = max(row.due_at, self.next_probe_at.get(row.webhook_id, row.due_at))
            is_scheduled = scheduled <= max(may_begin_at, lane.rests_until)
            under_way = lane.claiming or lane.in_flight > 0 or row.webhook_id in self.blocked
            assert lane.line is not None or under_way or is_scheduled

    def teardown(self) -> None:
        """When only the dispatcher goes on, everything is delivered."""
        if not hasattr(self, "lanes"):
            return
        self.block(set(), set())
        for _ in range(20 * (len(self.waiting) + len(self.in_flight)) + 20):
            self._work()
            if not (self.waiting or self.in_flight):
                self.counts_agree()
                return
        raise AssertionError(f"left waiting: {self.waiting}")

    def _work(self) -> None:
        if self.turns:
            self.claim(None)
        for _ in list(self.in_flight):
            self.finish(0, 100.0, True, None)
        self.take_turns(20)
        if not self.turns:
            rest = self.lanes.next_due_in(now=self.now)
            assert rest is not None or not self.waiting, "the dispatcher would never wake"
            self.now += rest or 0.0

    def _mark_due(
        self,
        webhook_id: WebhookId,
        due_at: float,
        since: datetime | None,
        *,
        failing: bool = False,
        unspaced: bool = False,
    ) -> None:
        self.lanes.mark_due(
            *(webhook_id, due_at, since),
            tenant_id=self.tenants[webhook_id],
            now=self.now,
            failing=failing,
            unspaced=unspaced,
        )

    def _is_unproven(self, webhook_id: WebhookId) -> bool:
        lane = self.lanes._lanes.get(webhook_id)
        return lane is not None and lane.unproven

    def _tenant(self, turn: LaneTurn) -> Tenant:
        return self.lanes._lanes[turn.webhook_id].tenant

    def _share(self, share: float) -> int:
        return max(1, math.ceil(self.slots * share))

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
