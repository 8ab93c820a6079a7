"""
Whose events leave the inbox next: tenants take turns, and none can crowd out the others.

A tenant is in line while events of it are known to wait. The rule: whatever one tenant has waiting,
another's first event waits for one turn of each tenant before it, not for that tenant's backlog.
Times are seconds on the caller's clock.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from daemon.core.model.ids import EventId, TenantId
from daemon.core.model.value import value
from daemon.core.scheduling.round_robin import RoundRobin

MAX_KEYS_OF_TENANT = 100_000
MAX_KEYS = 300_000
MAX_FOUND = 2000  # places of which more than one found event is remembered
MAX_TENANTS = 5000  # of which events are remembered, from scans or found; the inbox has the others
MAX_UNSERVED = 1000  # tenants that have had no turn since events of them were found
FIRST_EVENT = EventId(UUID(int=0))
NEWEST_WEIGHT = 0.3  # of the newest count in the running mean


class InboxKey(NamedTuple):
    """A place in the inbox: the events that one transaction inserted for one tenant."""

    xid: int
    tenant_id: TenantId


@value(frozen=True, slots=True)
class InboxTurn:
    """
    Lease at most `limit` events from a place, from the event `after_event` on.

    Where `events` were found before, these: what lies between them may be a million dead rows.
    """

    key: InboxKey
    after_event: EventId
    limit: int
    events: tuple[EventId, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundEvents:
    """The first events at a place that no daemon has leased; there may be `more` after them."""

    key: InboxKey
    events: tuple[EventId, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Continuation:
    """A place of which more events are to be found, from `after_event` on."""

    key: InboxKey
    after_event: EventId


class _Waiting:
    """What is known to wait of one tenant: transactions, and from which event on."""

    __slots__ = ("events_per_place", "found", "incomplete", "places")

    def __init__(self) -> None:
        self.places: dict[int, EventId] = {}
        self.found: dict[int, FoundEvents] = {}  # of some of the places
        self.events_per_place = 1.0
        self.incomplete = False  # there is more than is remembered

    def turns(self, tenant_id: TenantId, share: int) -> list[InboxTurn]:
        """Turns for about `share` events, from the oldest places."""
        count = min(len(self.places), max(1, int(share / self.events_per_place)))
        limit = max(1, share // count)
        oldest = islice(self.places, count)
        return [self._turn(InboxKey(xid, tenant_id), limit) for xid in oldest]

    def took(self, turn: InboxTurn, events: Collection[EventId]) -> Continuation | None:
        """
        Note which events a turn leased; fewer than its limit were the last of their place.

        Returns where to look for more, if they have to be found first.
        """
        self.events_per_place += NEWEST_WEIGHT * (max(1, len(events)) - self.events_per_place)
        xid = turn.key.xid
        if turn.events:
            return self._took_found(turn)
        if len(events) < turn.limit:
            self.places.pop(xid, None)
        else:
            self.places[xid] = max(events)
        return None

    def _turn(self, key: InboxKey, limit: int) -> InboxTurn:
        found = self.found.get(key.xid)
        if found is None:
            return InboxTurn(key, self.places[key.xid], limit)
        events = found.events[:limit]
        return InboxTurn(key, events[0], len(events), events)

    def _took_found(self, turn: InboxTurn) -> Continuation | None:
        found = self.found.pop(turn.key.xid)
        if rest := found.events[len(turn.events) :]:
            self.found[turn.key.xid] = replace(found, events=rest)
            return None
        self.places.pop(turn.key.xid, None)
        return Continuation(turn.key, turn.events[-1]) if found.more else None


class InboxTurns:
    """
    The tenants of which events wait.

    Those whose events are just being fanned out are held. Those that rest have had enough turns
    for now.
    """

    def __init__(self) -> None:
        self._waiting: dict[TenantId, _Waiting] = {}
        self._line: OrderedDict[TenantId, float] = OrderedDict()
        self._held: set[TenantId] = set()
        self._resting: frozenset[TenantId] = frozenset()
        self._resting_count = 0  # of those of which events wait
        self._places = 0
        self._found_places = 0
        self._found_tenants: set[TenantId] = set()
        self._unserved: set[TenantId] = set()  # those of them that have had no turn since
        self._continuations: RoundRobin[Continuation] = RoundRobin()
        self.incomplete = False  # what is remembered of a tenant ran out, and there was more

    @property
    def tenants(self) -> list[TenantId]:
        """Tenants of which new events wait behind others."""
        return list(self._waiting.keys() | self._held | self._resting)

    @property
    def in_line(self) -> int:
        """How many tenants wait for a turn."""
        return len(self._line)

    @property
    def has_room(self) -> bool:
        """
        Whether more events are to be found.

        Neither tenants that rest nor those with long backlogs keep others' from being found.
        """
        return (
            len(self._unserved - self._resting) < MAX_UNSERVED
            and len(self._found_tenants) < MAX_TENANTS
            and len(self._continuations) < MAX_FOUND
        )

    def waited(self, *, now: float) -> float:
        """How many seconds the first tenant in line has waited for its turn; 0 if none does."""
        return now - next(iter(self._line.values())) if self._line else 0.0

    def add(self, key: InboxKey, *, now: float, after_event: EventId = FIRST_EVENT) -> None:
        """Note that events wait at a place, from `after_event` on; some are left to a search."""
        if key.tenant_id in self._waiting or len(self._waiting) < MAX_TENANTS:
            self._add(key, now=now, after_event=after_event)
        else:
            self.incomplete = True

    def add_found(self, found: FoundEvents, *, now: float) -> None:
        """Note events that wait at a place, unless it is in line already."""
        if found.events and self._add(found.key, now=now, after_event=found.events[0]):
            if self._found_places >= MAX_FOUND:
                more = found.more or len(found.events) > 1
                found = replace(found, events=found.events[:1], more=more)
            self._found_places += 1
            self._found_tenants.add(found.key.tenant_id)
            self._unserved.add(found.key.tenant_id)
            self._waiting[found.key.tenant_id].found[found.key.xid] = found

    def look_at(self, key: InboxKey) -> None:
        """Find events at a place before any is leased."""
        self._continuations.add(key.tenant_id, Continuation(key, FIRST_EVENT))

    @property
    def has_continuations(self) -> bool:
        """Whether more events of any place are to be found."""
        return bool(self._continuations)

    def next_continuation(self) -> Continuation | None:
        """Remove and return where more events are to be found, tenants in turn; None if nowhere."""
        first = self._continuations.take()
        return None if first is None else first[1]

    def continue_later(self, continuation: Continuation) -> None:
        """Note that nothing was looked for there."""
        self._continuations.add(continuation.key.tenant_id, continuation)

    def _add(self, key: InboxKey, *, now: float, after_event: EventId) -> bool:
        """Add a place; returns whether it is new."""
        waiting = self._waiting.get(key.tenant_id)
        is_new = waiting is None or key.xid not in waiting.places
        if is_new and self._places >= MAX_KEYS:
            self._note_incomplete(waiting)
            return False
        if waiting is None:
            waiting = self._waiting[key.tenant_id] = _Waiting()
        if is_new:
            if len(waiting.places) >= MAX_KEYS_OF_TENANT:
                self._note_incomplete(waiting)
                return False
            self._places += 1
            waiting.places[key.xid] = after_event
        self._place(key.tenant_id, now)
        return is_new

    def _note_incomplete(self, waiting: _Waiting | None) -> None:
        """Note that more waits than is remembered: of a tenant, once that has run out."""
        if waiting is None:
            self.incomplete = True
        else:
            waiting.incomplete = True

    def next_turns(
        self, *, limit: int, most_of: Callable[[TenantId], int] | None = None
    ) -> list[InboxTurn]:
        """
        The next tenants' turns, for about `limit` events in all; `took` follows each.

        `most_of` returns how many of a tenant's events are enough for one turn, at least one.
        """
        turns: list[InboxTurn] = []
        # Tenants that rest will be back soon: no other takes their shares meanwhile.
        share = max(1, limit // max(1, len(self._line) + self._resting_count))
        while self._line and limit > 0:
            tenant_id, _ = self._line.popitem(last=False)
            own = share if most_of is None else min(share, most_of(tenant_id))
            turns += self._waiting[tenant_id].turns(tenant_id, own)
            limit -= own
        return turns

    def took(self, turn: InboxTurn, events: Collection[EventId], *, now: float) -> None:
        """Note which events were leased in a turn; its tenant goes to the end of the line."""
        tenant_id = turn.key.tenant_id
        waiting = self._waiting[tenant_id]
        places, found = len(waiting.places), len(waiting.found)
        continuation = waiting.took(turn, events)
        self._places += len(waiting.places) - places
        self._found_places += len(waiting.found) - found
        self._unserved.discard(tenant_id)
        if found and not waiting.found:
            self._found_tenants.discard(tenant_id)
        if continuation is not None:
            self.continue_later(continuation)
        if waiting.places:
            self._place(tenant_id, now)
            return
        del self._waiting[tenant_id]
        self._line.pop(tenant_id, None)
        self.incomplete = self.incomplete or waiting.incomplete

    def failed(self, turns: Iterable[InboxTurn], *, now: float) -> None:
        """Note that nothing was leased in these turns: what waited still does."""
        for turn in turns:
            self._place(turn.key.tenant_id, now)

    def forget(self) -> None:
        """Forget all places, as on another server; no turn may be under way."""
        self._waiting.clear()
        self._found_tenants.clear()
        self._unserved.clear()
        self._line.clear()
        self._places = self._found_places = self._resting_count = 0
        self._continuations = RoundRobin()

    def hold(self, tenant_id: TenantId) -> None:
        """Give a tenant no turn until `let_go`."""
        self._held.add(tenant_id)
        self._line.pop(tenant_id, None)

    def let_go(self, tenant_id: TenantId, *, now: float) -> None:
        """Give a tenant turns again."""
        self._held.discard(tenant_id)
        self._place(tenant_id, now)

    def is_held(self, tenant_id: TenantId) -> bool:
        """Whether the tenant's events are just being fanned out."""
        return tenant_id in self._held

    def rest(self, tenants: Collection[TenantId], *, now: float) -> None:
        """Give these tenants no turn, and turns again to those that rested until now."""
        rested, self._resting = self._resting, frozenset(tenants)
        for tenant_id in self._resting - rested:
            self._line.pop(tenant_id, None)
        for tenant_id in rested - self._resting:
            self._place(tenant_id, now)
        self._resting_count = len(self._resting & self._waiting.keys())

    def _place(self, tenant_id: TenantId, now: float) -> None:
        if (
            tenant_id in self._waiting
            and tenant_id not in self._held
            and tenant_id not in self._resting
        ):
            self._line.setdefault(tenant_id, now)
