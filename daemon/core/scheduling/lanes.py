"""
Whose turn it is: every endpoint has a lane, lanes take turns, and none can crowd out the others.

Three rules keep a healthy endpoint's event from waiting behind a sick one's. Turns go round: a
lane with a million attempts due is asked for a few, then stands at the end of the line. Each lane
has a window for its attempts in flight, which opens with every success and halves with every
failure, so that an endpoint which only fails holds one slot. And endpoints that answer slowly may
not hold the last quarter of all slots together.

Nothing here is truth: a daemon that starts knows no lane, and what it forgets a sweep tells again.
Times are seconds on the caller's clock; `since` is the database's and only handed through.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import heapify, heappop, heappush
from math import inf

from daemon.core.model.ids import WebhookId

FIRST_WINDOW = 2.0
SLOW_MS = 1000.0
SLOW_SHARE = 0.75
NEWEST_WEIGHT = 0.3  # of the newest duration in the running mean
MOST_TURNS = 256
MOST_REMEMBERED = 20_000
MOST_STALE_NOTES = 10_000  # every early wake leaves the later note of its lane behind


@dataclass(frozen=True, slots=True)
class LaneTurn:
    """
    Ask one endpoint for at most `room` attempts that came due at `since` or later.

    `since` spares the claim from wading through what was done before; None looks from the start.
    """

    webhook_id: WebhookId
    room: int
    since: datetime | None


@dataclass(frozen=True, slots=True)
class NextDue:
    """That something waits in a lane: from when on, and where in the database to look for it."""

    due_at: float
    since: datetime | None


NOTHING = NextDue(inf, None)


@dataclass(slots=True)
class Lane:
    """One endpoint, as this daemon knows it."""

    webhook_id: WebhookId
    window: float = FIRST_WINDOW
    known: NextDue = NOTHING
    heard_while_asked: NextDue = NOTHING
    asked: bool = False
    in_flight: int = 0
    mean_ms: float = 0.0
    rests_until: float = -inf
    noted_at: float = inf  # the time under which it stands in the calendar

    @property
    def slow(self) -> bool:
        return self.mean_ms > SLOW_MS

    @property
    def room(self) -> int:
        """Free places, or 0 until a quarter of the window is free: turns of one cost too much."""
        window = int(self.window)
        free = window - self.in_flight
        return free if free >= max(1, window // 4) else 0

    @property
    def due_at(self) -> float:
        return max(self.known.due_at, self.rests_until)

    @property
    def noted(self) -> bool:
        return self.noted_at < inf

    @property
    def idle(self) -> bool:
        return not self.asked and self.in_flight == 0 and self.known.due_at == inf


class Lanes:
    """All lanes of one daemon. `slots` bounds what is in flight in all, `widest` in one lane."""

    def __init__(self, *, slots: int, widest: int) -> None:
        self.slots = slots
        self.widest = widest
        self.in_flight = 0
        self._slow_slots = max(1, int(slots * SLOW_SHARE))
        self._slow_in_flight = 0
        self._slow_next = False
        self._lanes: dict[WebhookId, Lane] = {}
        self._ready: tuple[OrderedDict[WebhookId, None], ...] = (OrderedDict(), OrderedDict())
        self._calendar: list[tuple[float, WebhookId]] = []
        self._blocked: frozenset[WebhookId] = frozenset()

    def mark_due(
        self,
        webhook_id: WebhookId,
        due_at: float,
        since: datetime | None,
        *,
        now: float,
        failing: bool = False,
    ) -> None:
        """Something waits in this lane from `due_at` on. `failing` narrows a lane not known yet."""
        lane = self._lanes.get(webhook_id)
        if lane is None:
            window = min(self.widest, 1.0 if failing else FIRST_WINDOW)
            lane = self._lanes[webhook_id] = Lane(webhook_id, window)
        known = NextDue(due_at, since)
        if lane.asked:
            lane.heard_while_asked = _both(lane.heard_while_asked, known)
            return
        lane.known = _both(lane.known, known)
        self._place(lane, now)

    def turns(self, *, now: float, room: int) -> list[LaneTurn]:
        """The lanes whose turn it is, `room` attempts in all at most; each waits for `answered`."""
        self._read_calendar(now)
        quick, slow = self._ready
        room = min(room, self.slots - self.in_flight)
        slow_room = self._slow_slots - self._slow_in_flight
        share = max(1, room // max(1, len(quick) + len(slow)))
        turns: list[LaneTurn] = []
        while room > 0 and len(turns) < MOST_TURNS and (quick or (slow and slow_room > 0)):
            take_slow = bool(slow) and slow_room > 0 and (self._slow_next or not quick)
            webhook_id, _ = (slow if take_slow else quick).popitem(last=False)
            lane = self._lanes[webhook_id]
            asked = min(lane.room, room, share, slow_room if take_slow else room)
            if asked == 0:
                continue  # its window has shrunk; `finished` puts it back in line
            lane.asked = True
            self._slow_next = not take_slow
            room -= asked
            slow_room -= asked if take_slow else 0
            turns.append(LaneTurn(webhook_id, asked, lane.known.since))
        return turns

    def answered(
        self,
        turn: LaneTurn,
        *,
        taken: int,
        last_due: datetime | None,
        upcoming: NextDue,
        now: float,
    ) -> None:
        """
        What a turn brought: `taken` attempts are now in flight.

        A full catch means that more is due, from `last_due` on; else `upcoming` is what waits.
        """
        lane = self._lanes[turn.webhook_id]
        more = taken >= turn.room
        lane.known = NextDue(now, last_due) if more else upcoming
        self.in_flight += taken
        lane.in_flight += taken
        self._slow_in_flight += taken if lane.slow else 0
        self._release(lane, now)

    def unanswered(self, turns: Sequence[LaneTurn], *, now: float) -> None:
        """The claim failed; what was known to wait still does."""
        for turn in turns:
            self._release(self._lanes[turn.webhook_id], now)

    def finished(
        self, webhook_id: WebhookId, *, took_ms: float, delivered: bool, now: float
    ) -> None:
        """One attempt is no longer in flight; its result moves the lane's window and its pace."""
        lane = self._lanes[webhook_id]
        self._slow_in_flight -= lane.in_flight if lane.slow else 0
        lane.in_flight -= 1
        self.in_flight -= 1
        lane.mean_ms += NEWEST_WEIGHT * (took_ms - lane.mean_ms)
        self._slow_in_flight += lane.in_flight if lane.slow else 0
        lane.window = min(self.widest, lane.window + 1) if delivered else max(1.0, lane.window / 2)
        self._place(lane, now)

    def block(self, webhook_ids: Iterable[WebhookId], *, now: float) -> None:
        """Begin nothing for these, and for these alone: their results cannot be stored now."""
        before, self._blocked = self._blocked, frozenset(webhook_ids)
        for webhook_id in self._blocked:
            for line in self._ready:
                line.pop(webhook_id, None)
        for lane in map(self._lanes.get, before - self._blocked):
            if lane is not None:
                self._place(lane, now)

    def rest(self, webhook_id: WebhookId, *, until: float) -> None:
        """Begin nothing for this one, which is in flight, before `until`, whatever is heard."""
        lane = self._lanes[webhook_id]
        lane.rests_until = until
        for line in self._ready:
            line.pop(webhook_id, None)

    def next_due_in(self, *, now: float) -> float | None:
        """Seconds until a lane comes due that is not due yet; None when none is known."""
        return max(0.0, self._calendar[0][0] - now) if self._calendar else None

    def half_free(self, webhook_id: WebhookId) -> int:
        """How many more attempts may be in flight for this endpoint until half its window is."""
        lane = self._lanes.get(webhook_id)
        if lane is None:
            return int(min(self.widest, FIRST_WINDOW)) // 2
        return int(lane.window) // 2 - lane.in_flight

    @property
    def due(self) -> int:
        """How many lanes wait for their turn."""
        return len(self._ready[0]) + len(self._ready[1])

    def forget_idle(self) -> None:
        """Bound the memory: what is idle is told again when something comes to wait there."""
        if len(self._lanes) > MOST_REMEMBERED:
            self._lanes = {key: lane for key, lane in self._lanes.items() if not lane.idle}
        if len(self._calendar) > MOST_STALE_NOTES + 2 * len(self._lanes):
            lanes = self._lanes.values()
            self._calendar = [(lane.noted_at, lane.webhook_id) for lane in lanes if lane.noted]
            heapify(self._calendar)

    def _release(self, lane: Lane, now: float) -> None:
        lane.asked = False
        lane.known = _both(lane.known, lane.heard_while_asked)
        lane.heard_while_asked = NOTHING
        self._place(lane, now)

    def _place(self, lane: Lane, now: float) -> None:
        """Into the line when it is due and has room; into the calendar when it is due later."""
        if lane.asked or lane.known.due_at == inf or lane.webhook_id in self._blocked:
            return
        if lane.due_at > now:
            self._note(lane)
        elif lane.room > 0:
            here, other = self._ready[::-1] if lane.slow else self._ready
            other.pop(lane.webhook_id, None)
            here.setdefault(lane.webhook_id)

    def _note(self, lane: Lane) -> None:
        if lane.due_at < lane.noted_at:  # an earlier note will do for a later time
            lane.noted_at = lane.due_at
            heappush(self._calendar, (lane.noted_at, lane.webhook_id))

    def _read_calendar(self, now: float) -> None:
        while self._calendar and self._calendar[0][0] <= now:
            noted_at, webhook_id = heappop(self._calendar)
            lane = self._lanes.get(webhook_id)
            if lane is not None and lane.noted_at == noted_at:
                lane.noted_at = inf
                self._place(lane, now)


def _both(one: NextDue, other: NextDue) -> NextDue:
    """The earlier time, and the place from which both are found."""
    if inf in (one.due_at, other.due_at):
        return other if one.due_at == inf else one
    since = None if one.since is None or other.since is None else min(one.since, other.since)
    return NextDue(min(one.due_at, other.due_at), since)
