"""
Whose turn it is: every endpoint has a lane, lanes take turns, and none can crowd out the others.

Three rules keep a healthy endpoint's event from waiting behind a failing one's:

- Turns go round: a lane with a million attempts due gets a few, then goes to the end of the line.
- Each lane has a window for its attempts in flight, which opens with every success and halves with
  every failure, so that an endpoint which only fails holds one slot.
- Endpoints that answer slowly may not hold the last quarter of all slots together.

Lanes are hints, not truth: a daemon that starts knows none, and the lane sync restores what was
forgotten. Times are seconds on the caller's clock; `since` is the database's and only passed on.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf

from daemon.core.model.ids import WebhookId
from daemon.core.scheduling.calendar import Calendar
from daemon.core.scheduling.endpoint_lane import FIRST_WINDOW, Lane, NextDue
from daemon.core.scheduling.total_slots import Slots

MAX_TURNS = 256
MAX_LANES = 20_000


@dataclass(frozen=True, slots=True)
class LaneTurn:
    """
    Claim at most `limit` attempts of one endpoint that came due at `since` or later.

    `since` spares the claim from reading what was done before; None reads from the start.
    """

    webhook_id: WebhookId
    limit: int
    since: datetime | None


class Lanes:
    """All lanes of one daemon: `slots` bounds the attempts in flight in all, `widest` in one."""

    def __init__(self, *, slots: int, widest: int) -> None:
        self.widest = widest
        self._slots = Slots(slots)
        self._lanes: dict[WebhookId, Lane] = {}
        # Lanes that are due and have room, and since when they wait: the quick, the slow.
        self._ready: tuple[OrderedDict[WebhookId, float], ...] = (OrderedDict(), OrderedDict())
        self._slow_next = False
        self._calendar = Calendar()
        self._blocked: frozenset[WebhookId] = frozenset()

    @property
    def slots(self) -> int:
        """How many attempts may be in flight in all."""
        return self._slots.total

    @property
    def in_flight(self) -> int:
        """How many attempts are in flight."""
        return self._slots.in_flight

    @property
    def ready(self) -> int:
        """How many lanes wait for their turn."""
        return len(self._ready[0]) + len(self._ready[1])

    def waited(self, *, now: float) -> float:
        """How many seconds the first quick lane in line has waited for its turn; 0 if none does."""
        quick, _ = self._ready
        return now - next(iter(quick.values())) if quick else 0.0

    def mark_due(
        self,
        webhook_id: WebhookId,
        due_at: float,
        since: datetime | None,
        *,
        now: float,
        failing: bool = False,
        unspaced: bool = False,
    ) -> None:
        """
        Note that an attempt is due at `due_at`; a new lane that is `failing` begins narrow.

        `unspaced`: it need not wait for what `space` said.
        """
        lane = self._lanes.get(webhook_id)
        if lane is None:
            window = min(self.widest, 1.0 if failing else FIRST_WINDOW)
            lane = self._lanes[webhook_id] = Lane(webhook_id, window)
        lane.hear(NextDue(due_at, since))
        if unspaced and lane.spaced_until > now:
            lane.hear_spacing(-inf)
            # The probe that may be under way must not delay what was asked for.
            lane.window = min(self.widest, max(lane.window, lane.in_flight + 1))
        self._place(lane, now)

    def knows(self, webhook_id: WebhookId, due: NextDue, *, now: float) -> bool:
        """Whether a claim for this one will be made by that time, and will find what is due."""
        lane = self._lanes.get(webhook_id)
        return lane is not None and lane.knows(due, now=now)

    def space(self, webhook_id: WebhookId, *, until: float, now: float) -> None:
        """Give no turn to this one, which is failing, before `until`."""
        lane = self._lanes.get(webhook_id)
        if lane is None:
            return
        self._leave_line(webhook_id)
        lane.hear_spacing(until)
        self._place(lane, now)

    def next_turns(self, *, now: float, room: int) -> list[LaneTurn]:
        """
        The next lanes in line, for `room` attempts in all at most.

        Each waits for `claimed` or `claim_failed` before it has another turn.
        """
        for webhook_id in self._calendar.pop_due(now):
            if lane := self._lanes.get(webhook_id):
                self._place(lane, now)
        room = min(room, self._slots.free)
        slow_room = self._slots.free_for_slow
        share = max(1, room // max(1, self.ready))
        turns: list[LaneTurn] = []
        while room > 0 and len(turns) < MAX_TURNS and (lane := self._next(slow_room)):
            limit = min(lane.room, room, share, slow_room if lane.slow else room)
            if limit == 0:
                continue  # its window has shrunk; `finished` puts it back in line
            lane.claiming = True
            self._slow_next = not lane.slow
            room -= limit
            slow_room -= limit if lane.slow else 0
            turns.append(
                LaneTurn(webhook_id=lane.webhook_id, limit=limit, since=lane.next_due.since)
            )
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
    ) -> None:
        """
        Note what a turn's claim brought: `taken` attempts are now in flight.

        A claim that reached its limit means that more is due, from `last_due` on; otherwise
        `upcoming` is what comes next. While the endpoint is failing, that is so in any case, and
        nothing begins before `spaced_until`.
        """
        lane = self._lanes[turn.webhook_id]
        lane.spaced_until = spaced_until
        has_more = taken >= turn.limit and spaced_until == -inf
        lane.next_due = NextDue(now, last_due) if has_more else upcoming
        lane.in_flight += taken
        self._slots.take(taken, slow=lane.slow)
        lane.end_claim()
        self._place(lane, now)

    def claim_failed(self, turns: Sequence[LaneTurn], *, now: float) -> None:
        """Note that nothing was claimed: what was due still is."""
        for turn in turns:
            lane = self._lanes[turn.webhook_id]
            lane.end_claim()
            self._place(lane, now)

    def finished(
        self, webhook_id: WebhookId, *, took_ms: float, delivered: bool, now: float
    ) -> None:
        """Note that an attempt has a result, from which its lane's window and mean are adjusted."""
        lane = self._lanes[webhook_id]
        self._end_attempt(lane)
        was_slow = lane.slow
        lane.record(took_ms, delivered=delivered, widest=self.widest)
        if lane.slow is not was_slow:
            self._slots.reclassify(lane.in_flight, slow=lane.slow)
        self._place(lane, now)

    def returned(self, webhook_id: WebhookId, *, now: float) -> None:
        """Note that an attempt ended without a result: nothing is learnt about its endpoint."""
        lane = self._lanes[webhook_id]
        self._end_attempt(lane)
        self._place(lane, now)

    def block(self, webhook_ids: Iterable[WebhookId], *, now: float) -> None:
        """Give no turn to exactly these, because their results cannot be stored now."""
        before, self._blocked = self._blocked, frozenset(webhook_ids)
        for webhook_id in self._blocked:
            self._leave_line(webhook_id)
        for lane in map(self._lanes.get, before - self._blocked):
            if lane is not None:
                self._place(lane, now)

    def rest(self, webhook_id: WebhookId, *, until: float) -> None:
        """Give no turn to this one, which has an attempt in flight, before `until`."""
        self._lanes[webhook_id].rests_until = until
        self._leave_line(webhook_id)

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
        if len(self._lanes) > MAX_LANES:
            self._lanes = {key: lane for key, lane in self._lanes.items() if not lane.idle}
        self._calendar.compact()

    def _next(self, slow_room: int) -> Lane | None:
        """Take the next lane out of line: quick and slow ones alternate while both may."""
        quick, slow = self._ready
        slow_may = bool(slow) and slow_room > 0
        if not quick and not slow_may:
            return None
        line = slow if slow_may and (self._slow_next or not quick) else quick
        webhook_id, _ = line.popitem(last=False)
        return self._lanes[webhook_id]

    def _end_attempt(self, lane: Lane) -> None:
        self._slots.free_one(slow=lane.slow)
        lane.in_flight -= 1

    def _place(self, lane: Lane, now: float) -> None:
        """Put a lane in line if it is due and has room, or on the calendar if it is due later."""
        if lane.claiming or lane.next_due.due_at == inf or lane.webhook_id in self._blocked:
            return
        if lane.due_at > now:
            self._calendar.schedule(lane.webhook_id, lane.due_at)
        elif lane.room > 0:
            line, other = self._ready[::-1] if lane.slow else self._ready
            waits_since = other.pop(lane.webhook_id, now)
            line.setdefault(lane.webhook_id, waits_since)

    def _leave_line(self, webhook_id: WebhookId) -> None:
        for line in self._ready:
            line.pop(webhook_id, None)
