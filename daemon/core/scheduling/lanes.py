"""
Whose turn it is: every endpoint has a lane, lanes take turns, and none can crowd out the others.

These rules keep a healthy endpoint's event from waiting behind a failing one's:

- Turns go round by tenant, and then by lane (`waiting_lanes`): one with a million attempts due gets
  a few, then goes to the end of the line.
- Each lane has a window for its attempts in flight (`endpoint_lane`), which opens with every
  success and halves with every failure, so that an endpoint which only fails holds one slot.
- Tenants (`slots`) and hosts (`host_shares`) have shares of the slots, and lanes that have not
  shown that they are quick may not hold the last quarter of all slots together.

Lanes are hints, not truth: a daemon that starts knows none, and the lane sync restores what was
forgotten. Times are seconds on the caller's clock; `since` is the database's and only passed on.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from math import inf

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.value import value
from daemon.core.scheduling.calendar import Calendar
from daemon.core.scheduling.endpoint_lane import FIRST_WINDOW, NOTHING_DUE, SLOW_MS, Lane, NextDue
from daemon.core.scheduling.known_lanes import KnownLanes
from daemon.core.scheduling.slots import Slots
from daemon.core.scheduling.waiting_lanes import WaitingLanes

MAX_TURNS = 256


@value(frozen=True, slots=True)
class LaneTurn:
    """
    Claim at most `limit` attempts of one endpoint that came due at `since` or later.

    `since` spares the claim from reading what was done before; None reads from the start. `queued`:
    take them from the queue instead.
    """

    webhook_id: WebhookId
    limit: int
    since: datetime | None
    queued: bool = False


class Lanes:
    """All lanes of one daemon: `slots` bounds the attempts in flight in all, `widest` in one."""

    def __init__(self, *, slots: int, widest: int) -> None:
        self.widest = widest
        self.in_flight = 0
        self._slots = Slots(slots)
        self._lanes = KnownLanes(self._slots, widest=widest)
        self._waiting = WaitingLanes(self._slots)
        self._calendar = Calendar()
        self._blocked: frozenset[WebhookId] = frozenset()
        self._blocked_tenants: frozenset[TenantId] = frozenset()

    @property
    def slots(self) -> int:
        """How many attempts may be in flight in all."""
        return self._slots.total

    @property
    def held(self) -> int:
        """How many slots are held, by attempts in flight and by claims under way."""
        return self._slots.in_flight

    def note_unstored(self, count: int, *, of_tenant: Callable[[TenantId], int]) -> None:
        """Note how many results take a slot because they are not stored, as `Slots` does."""
        self._slots.note_unstored(count, of_tenant=of_tenant)

    @property
    def ready(self) -> int:
        """How many lanes wait for their turn."""
        return self._waiting.lanes

    def waited(self, *, now: float) -> float:
        """How many seconds the first tenant with a quick lane in line has waited for its turn."""
        return self._waiting.waited(now=now)

    def tenant_of(self, webhook_id: WebhookId) -> TenantId | None:
        """The tenant of a lane that is known."""
        lane = self._lanes.get(webhook_id)
        return None if lane is None else lane.tenant.id

    def is_unproven(self, webhook_id: WebhookId) -> bool:
        """Whether this one has not shown that it is quick."""
        lane = self._lanes.get(webhook_id)
        return lane is None or lane.unproven

    def mark_due(
        self,
        webhook_id: WebhookId,
        due_at: float,
        since: datetime | None,
        *,
        tenant_id: TenantId,
        now: float,
        failing: bool = False,
        unspaced: bool = False,
    ) -> None:
        """
        Note that an attempt is due at `due_at`; a new lane that is `failing` begins narrow.

        `unspaced`: it need not wait for what `space` said.
        """
        lane = self._lanes.get_or_make(webhook_id, tenant_id, failing=failing)
        lane.hear(NextDue(due_at, since))
        if unspaced and lane.spaced_until > now:
            lane.hear_spacing(-inf)
            # The probe that may be under way must not delay what was asked for.
            lane.window = min(self.widest, max(lane.window, lane.in_flight + 1))
        self._place(lane, now)

    def admit(
        self, webhook_id: WebhookId, *, tenant_id: TenantId, now: float, host: str | None
    ) -> bool:
        """
        Let a first attempt begin at once where no lane waits for a turn; returns whether it may.

        It is then in flight. What bounds turns bounds it, too: window, spacing, and the shares of
        its tenant and of its host. `host` is the address to which it goes, None if unknown.
        """
        if self._waiting.lanes or self._calendar.is_due(now):
            return False
        lane = self._lanes.get_or_make(webhook_id, tenant_id, failing=False)
        if not lane.may_begin(now=now) or self._is_blocked(lane):
            return False
        if self._slots.room_for(lane.tenant, unproven=lane.unproven) == 0:
            return False
        if lane.host is not None:
            if lane.host.key != host or lane.host.room_for(lane, self._slots, now=now) == 0:
                return False
            lane.host.begin(now=now)
        elif host is not None:
            return False  # its turn locates it
        lane.in_flight += 1
        self.in_flight += 1
        self._lanes.hold(lane, 1)
        return True

    def queue(self, webhook_id: WebhookId, *, tenant_id: TenantId, now: float) -> None:
        """Note a first attempt that waits in memory."""
        lane = self._lanes.get_or_make(webhook_id, tenant_id, failing=False)
        lane.queued += 1
        self._place(lane, now)

    def unqueue(self, webhook_id: WebhookId, count: int) -> None:
        """Note that so many first attempts do not wait in memory any more, and were not begun."""
        lane = self._lanes[webhook_id]
        lane.queued -= count
        if lane.due_at == inf:
            self._waiting.remove(lane)

    def queue_room(
        self, webhook_id: WebhookId, *, tenant_id: TenantId, of_tenant: int, now: float
    ) -> int:
        """
        How many more first attempts may wait in memory: what is likely to begin soon.

        None while the endpoint may not be called; half as many beside attempts that are due in the
        database. `of_tenant` are in the tenant's queues now.
        """
        lane = self._lanes.get_or_make(webhook_id, tenant_id, failing=False)
        if max(lane.rests_until, lane.spaced_until) > now or self._is_blocked(lane):
            return 0
        if lane.unproven:
            slots = self._slots.room_for(lane.tenant, unproven=True)
            return min(lane.free - lane.queued, slots - of_tenant)
        return lane.queue_room(now=now)

    def knows(self, webhook_id: WebhookId, due: NextDue, *, now: float) -> bool:
        """Whether a claim for this one will be made by that time, and will find what is due."""
        lane = self._lanes.get(webhook_id)
        return lane is not None and lane.knows(due, now=now)

    def space(self, webhook_id: WebhookId, *, until: float, now: float) -> None:
        """Give no turn to this one, which is failing, before `until`."""
        lane = self._lanes.get(webhook_id)
        if lane is None:
            return
        self._waiting.remove(lane)
        lane.hear_spacing(until)
        self._place(lane, now)

    def freed(self, webhook_id: WebhookId, *, now: float) -> None:
        """Note that an attempt in flight does not count for its endpoint's limit any more."""
        lane = self._lanes.get(webhook_id)
        if lane is None or not (lane.full or lane.claiming):
            return
        lane.full = False
        lane.hear_spacing(-inf)
        self._place(lane, now)

    def next_turns(self, *, now: float, room: int, claims: bool = True) -> list[LaneTurn]:
        """
        The next lanes in line, for `room` attempts in all at most; without `claims`, queued ones.

        Each waits for `claimed` or `claim_failed` before it has another turn; until then its
        `limit` counts as held.
        """
        for webhook_id in self._calendar.pop_due(now):
            if lane := self._lanes.get(webhook_id):
                self._place(lane, now)
        self._waiting.review_parked(now=now)
        room = min(room, self._slots.total - self._slots.in_flight)
        of_each_tenant = room // max(1, self._waiting.tenants)
        left: defaultdict[TenantId, int] = defaultdict(lambda: of_each_tenant)
        turns: list[LaneTurn] = []
        while room > 0 and len(turns) < MAX_TURNS:
            first = self._waiting.next(now=now, claims=claims)
            if first is None:
                break
            lane, most, beside = first
            if not claims and lane.needs_claim(now=now):
                self._waiting.add(lane, now=now)  # something has come due meanwhile
                continue
            limit = min(lane.room(now=now), room, most, max(1, left[lane.tenant.id] // beside))
            if limit == 0:
                continue  # its window has shrunk; `finished` puts it back in line
            turn = self._begin_claim(lane, limit, now)
            room -= turn.limit
            left[lane.tenant.id] -= turn.limit
            turns.append(turn)
        self._waiting.end_round()
        return turns

    def claimed(
        self,
        turn: LaneTurn,
        *,
        taken: int,
        last_due: datetime | None,
        upcoming: NextDue,
        now: float,
        spaced_until: float = -inf,
        full: bool = False,
        host: str | None = None,
    ) -> None:
        """
        Note what a turn's claim brought: `taken` attempts are now in flight.

        A claim that reached its limit means that more is due, from `last_due` on; otherwise
        `upcoming` is what comes next. While the endpoint is failing, or at its limit, that is so in
        any case, and nothing begins before `spaced_until`; if it is `full`, `freed` may end that
        wait. `host` is the address to which they go, None if unknown.
        """
        lane = self._lanes[turn.webhook_id]
        lane.spaced_until, lane.full = spaced_until, full
        has_more = taken >= turn.limit and spaced_until == -inf
        lane.next_due = NextDue(now, last_due) if has_more else upcoming
        lane.in_flight += taken
        self.in_flight += taken
        self._end_claim(lane, unused=turn.limit - taken, now=now, host=host)

    def dequeued(self, turn: LaneTurn, *, taken: int, now: float, host: str | None = None) -> None:
        """Note that a turn took so many attempts from the queue, which are now in flight."""
        lane = self._lanes[turn.webhook_id]
        lane.queued -= taken
        lane.in_flight += taken
        self.in_flight += taken
        self._end_claim(lane, unused=turn.limit - taken, now=now, host=host)

    def claim_failed(self, turns: Sequence[LaneTurn], *, now: float) -> None:
        """Note that nothing was claimed: what was due still is."""
        for turn in turns:
            self._end_claim(self._lanes[turn.webhook_id], unused=turn.limit, now=now)

    def slowed(self, webhook_id: WebhookId) -> None:
        """Note that an attempt has been in flight for `SLOW_MS`; its end is to be `was_slow`."""
        self._lanes.begin_slow(self._lanes[webhook_id])

    def finished(
        self,
        webhook_id: WebhookId,
        *,
        took_ms: float,
        delivered: bool,
        now: float,
        host: str | None = None,
        was_slow: bool = False,
    ) -> None:
        """
        Note that an attempt has a result, from which its lane's window and mean are adjusted.

        `host` is the address to which it went, None if unknown.
        """
        lane = self._lanes[webhook_id]
        self._end_attempt(lane, was_slow=was_slow)
        if host is not None:
            self._locate(lane, host)
        self._lanes.record(lane, took_ms, delivered=delivered)
        if lane.host is not None and (delivered or took_ms <= SLOW_MS):
            lane.host.answered(now=now)
        if lane.queued or lane.next_due is not NOTHING_DUE:
            self._place(lane, now)
        if self._waiting.lanes:
            self._waiting.unpark(lane.host, now=now)

    def returned(self, webhook_id: WebhookId, *, now: float, was_slow: bool = False) -> None:
        """Note that an attempt ended without a result: nothing is learnt about its endpoint."""
        lane = self._lanes[webhook_id]
        self._end_attempt(lane, was_slow=was_slow)
        self._place(lane, now)
        self._waiting.unpark(lane.host, now=now)

    def block(
        self, webhook_ids: Iterable[WebhookId], *, tenants: Iterable[TenantId] = (), now: float
    ) -> None:
        """
        Give no turn to exactly these, because their results cannot be stored now.

        Nor to any webhook of the `tenants`, which have many results that cannot be stored.
        """
        before, self._blocked = self._blocked, frozenset(webhook_ids)
        before_tenants, self._blocked_tenants = self._blocked_tenants, frozenset(tenants)
        changed = list(self._lanes.of_tenants(before_tenants ^ self._blocked_tenants))
        changed += filter(None, map(self._lanes.get, before ^ self._blocked))
        for lane in changed:
            if self._is_blocked(lane):
                self._waiting.remove(lane)
            else:
                self._place(lane, now)

    def rest(self, webhook_id: WebhookId, *, until: float) -> None:
        """Give no turn to this one, which has an attempt in flight, before `until`."""
        lane = self._lanes[webhook_id]
        lane.rests_until = until
        self._waiting.remove(lane)

    def next_due_in(self, *, now: float) -> float | None:
        """Seconds until a lane comes due that is not due yet; None when none is known."""
        return self._calendar.next_in(now)

    def half_free(self, webhook_id: WebhookId) -> int:
        """How many more attempts may be in flight for this endpoint before half its window is."""
        lane = self._lanes.get(webhook_id)
        if lane is None:
            return int(min(self.widest, FIRST_WINDOW)) // 2
        return int(lane.window) // 2 - lane.in_flight

    def forget_idle(self) -> None:
        """Bound the memory: an idle lane is made again when something is due in it."""
        self._lanes.forget_idle()
        self._calendar.compact()

    def _is_blocked(self, lane: Lane) -> bool:
        return lane.webhook_id in self._blocked or lane.tenant.id in self._blocked_tenants

    def _begin_claim(self, lane: Lane, limit: int, now: float) -> LaneTurn:
        if lane.host is not None:
            lane.host.begin(now=now)
        queued = not lane.needs_claim(now=now)
        if queued:
            limit = min(limit, lane.queued)
        lane.claiming, lane.claimed_last = True, not queued
        lane.claimable = limit
        self._lanes.hold(lane, limit)
        return LaneTurn(lane.webhook_id, limit, lane.next_due.since, queued=queued)

    def _end_claim(self, lane: Lane, *, unused: int, now: float, host: str | None = None) -> None:
        lane.claimable = 0
        self._lanes.hold(lane, -unused)
        if host is not None:
            self._locate(lane, host)
        lane.end_claim()
        self._place(lane, now)
        self._waiting.unpark(lane.host, now=now)

    def _end_attempt(self, lane: Lane, *, was_slow: bool) -> None:
        if was_slow:
            self._lanes.end_slow(lane)
        lane.in_flight -= 1
        self.in_flight -= 1
        self._lanes.hold(lane, -1)

    def _locate(self, lane: Lane, host: str) -> None:
        """Note where a lane's attempts go; at a new host, it does not wait for the old one."""
        if lane.host is not None and lane.host.key == host:
            return
        self._waiting.remove(lane)
        self._lanes.move(lane, host)

    def _place(self, lane: Lane, now: float) -> None:
        """Put a lane in line if it is due and has room, or on the calendar if it is due later."""
        if lane.claiming:
            return
        due_at = lane.due_at
        if due_at == inf or self._is_blocked(lane):
            return
        if due_at > now:
            self._calendar.schedule(lane.webhook_id, due_at)
        elif lane.room(now=now) > 0:
            self._waiting.add(lane, now=now)
