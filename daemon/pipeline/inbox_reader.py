"""
Leases the next events of the inbox, tenants in turn.

It knows which part of the inbox it has read, and of which tenants events wait. The rule: a tenant
whose events have just come is served before the backlog of any other.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from daemon.core.errors import StatementTimeoutError
from daemon.core.model.ids import EventId, TenantId
from daemon.core.scheduling.batch_size import BatchSize
from daemon.core.scheduling.inbox_scan import (
    EMPTY_SNAPSHOT,
    InboxScan,
    Snapshot,
    XidRange,
    unserved,
)
from daemon.core.scheduling.inbox_turns import FIRST_EVENT, InboxKey, InboxTurns
from daemon.core.scheduling.slow_tenants import SlowTenants
from daemon.pipeline.inbox_search import InboxSearch
from daemon.pipeline.returned_leases import ReturnedLeases
from daemon.pipeline.subscription_cache import SubscriptionCache
from daemon.store import event_inbox, inbox_leases, leased_events, subscription_changes
from daemon.store.database import Database
from daemon.store.event_inbox import Scan
from daemon.store.leased_events import Leased, LeasedEvent, Leasing
from daemon.store.session import Connection, end_of
from daemon.store.subscription_changes import Change

SCAN_SECONDS = 0.05  # while known events wait
# Places that one statement reads in each range: as many as it can within this time.
LEAST_KEYS, MOST_KEYS = 100, 2000
STATEMENT_SECONDS = 0.05
EVENTS_PER_KEY = 32
# Of webhooks, read for one tenant. Some thousand versions of rows take a third of a millisecond,
# and as long again for each row that is inserted for such a webhook.
SLOW_PAGES = 100
NOTHING = Leased([], [], {}, {})


class InboxReader:
    """
    Leases events; each scan tells `cache` which subscriptions changed.

    Of `slow` tenants no webhooks are looked up, and a tenant of which that read many pages is noted
    as such. What `search` finds beside the scans is leased in turns; it sets `wake`.
    """

    def __init__(
        self,
        database: Database,
        cache: SubscriptionCache,
        *,
        wake: asyncio.Event,
        leasing: Leasing,
        slow: SlowTenants,
    ) -> None:
        self._database = database
        self._cache = cache
        self._leasing = leasing
        self._keys = BatchSize(least=LEAST_KEYS, most=MOST_KEYS, seconds=STATEMENT_SECONDS)
        self._scan = InboxScan(keys_per_range=self._keys.size)
        self._seen = EMPTY_SNAPSHOT
        self._begins = True  # before its first scan, and after one that took too long
        self._session_ended: Callable[[], bool] = bool  # that of the last scan
        self.turns = InboxTurns()
        self.search = InboxSearch(
            *(database, self._scan, self.turns), wake=wake, leasing=leasing, slow=slow
        )
        self._scan_at = 0.0
        self._lost_track = False  # a lease was taken, perhaps, and its answer was lost
        self._slow = slow
        self._returned = ReturnedLeases(database, leasing=leasing)

    async def lease_next(
        self,
        *,
        limit: int,
        held: Iterable[EventId],
        most_of: Callable[[TenantId], int] | None = None,
    ) -> tuple[Leased, bool]:
        """
        Lease about `limit` events; the caller still has those that are `held`.

        Of a tenant with a backlog, at most `most_of` it.

        Returns them, and whether nothing else was found that waits.
        """
        await self._free_unknown_leases(held)
        await self._give_back()
        try:
            return await self._lease(limit, most_of)
        except BaseException:
            self._lost_track = True
            raise

    def give_back(self, events: Iterable[LeasedEvent]) -> None:
        """Let this daemon, or another one, lease events again that are still leased by this one."""
        self._returned.add(events)

    def give_back_in(self, *, now: float) -> float:
        """Seconds until events can be given back; infinite if none are to be."""
        return self._returned.due_in(now=now)

    async def _give_back(self) -> None:
        for key in await self._returned.give_back():
            self.turns.look_at(key)
            self.search.wake.set()

    def free_unknown_leases(self) -> None:
        """Before the next lease, free those of which the caller holds no event."""
        self._lost_track = True

    async def release_all(self) -> None:
        """Give back everything that this daemon has leased."""
        async with self._database.connection() as db:
            await inbox_leases.free_leases_except(db, [], daemon_key=self._leasing.daemon_key)

    async def _free_unknown_leases(self, held: Iterable[EventId]) -> None:
        if not self._lost_track:
            return
        async with self._database.connection() as db:
            await inbox_leases.free_leases_except(
                db, list(held), daemon_key=self._leasing.daemon_key
            )
        self._lost_track = False
        self.search.begin_full_scan()

    async def _lease(
        self, limit: int, most_of: Callable[[TenantId], int] | None
    ) -> tuple[Leased, bool]:
        """Lease first the events of tenants that have just come, then by turns."""
        now = time.monotonic()
        async with self._database.connection() as db:
            leased = NOTHING
            complete = False  # as far as is known without a scan
            if not self.turns.in_line or now >= self._scan_at:
                leased, complete = await self._scan_and_lease(db, limit)
                self._scan_at = time.monotonic() + SCAN_SECONDS
            by_turns = await self._lease_turns(db, limit - len(leased.events), most_of)
            leased = leased.joined(by_turns)
            if leased.orphaned:
                await inbox_leases.forget(db, leased.orphaned, daemon_key=self._leasing.daemon_key)
        return leased, complete and not self.turns.in_line

    async def _scan_and_lease(self, db: Connection, limit: int) -> tuple[Leased, bool]:
        if self._begins or self._session_ended():
            await self._begin(db)
        self._session_ended = end_of(db)
        began = time.monotonic()
        self._scan.keys_per_range = self._keys.size
        ranges = self._scan.ranges(now=began)
        waiting = self.turns.tenants  # as the statement knows them: some may be let go meanwhile
        try:
            scan = await event_inbox.scan(
                db,
                ranges,
                self._leasing,
                seen=self._seen,
                waiting=waiting,
                keys=self._scan.keys_per_range,
                limit=limit,
                per_key=EVENTS_PER_KEY,
                slow=self._slow.all(now=began),
            )
        except StatementTimeoutError:
            self._begins = True
            raise
        now = time.monotonic()
        self._keys.took(now - began)
        changed: Sequence[Change] | None = scan.changed
        if changed is None and scan.snapshot.follows(self._seen):
            changed = await self._many_changes(db, scan.snapshot)
        complete = self._note_scanned(ranges, scan, changed, now=now)
        if self._scan.waits_aside:
            self.search.wake.set()
        self._note_slow(scan.leased, now)
        self._note_waiting(scan, set(waiting), limit)
        return scan.leased, complete

    async def _begin(self, db: Connection) -> None:
        """Leave to be read aside what is there now."""
        snapshot = await event_inbox.current_snapshot(db)
        if self._session_ended() or not snapshot.follows(self._seen):
            self._begin_anew(snapshot)
        else:
            self._scan.begin_from(snapshot)
        self._begins = False

    def _begin_anew(self, snapshot: Snapshot) -> None:
        """
        Forget what was read: numbers are given again by a server that has lost the last ones.

        That is a standby that is promoted, or the same server after a crash, which ends sessions.
        """
        self._scan.begin_anew(snapshot)
        self.turns.forget()
        self._cache.note_changes(None)
        self._seen = snapshot

    async def _many_changes(self, db: Connection, now: Snapshot) -> Sequence[Change] | None:
        """What changed since the last scan, where that is much; None if it cannot be named."""
        try:
            return await subscription_changes.find(db, seen=self._seen, now=now)
        except StatementTimeoutError:
            return None

    def _note_scanned(
        self,
        ranges: Sequence[XidRange],
        scan: Scan,
        changed: Sequence[Change] | None,
        *,
        now: float,
    ) -> bool:
        """Note what a scan has read, and found changed; returns whether everything new was read."""
        if not scan.snapshot.follows(self._seen):
            self._begin_anew(scan.snapshot)
            return False
        self._seen = scan.snapshot
        self._cache.note_changes(changed)
        return self._scan.completed(ranges, scan.keys, scan.snapshot, now=now)

    def _note_slow(self, leased: Leased, now: float) -> None:
        for tenant_id, pages in leased.pages.items():
            self._slow.note(tenant_id, pages, now=now)

    def _note_waiting(self, scan: Scan, waiting: set[TenantId], limit: int) -> None:
        """Put in line the tenants of which the scan leased only some events, or none."""
        now = time.monotonic()
        last: dict[InboxKey, EventId] = {each.key: each.event.id for each in scan.leased.events}
        passed_over = waiting | scan.idle
        looked_for = [key for _, key in scan.keys if key.tenant_id not in passed_over]
        leased = Counter(each.key for each in scan.leased.events)
        rest = unserved(looked_for, leased, limit=limit, per_key=EVENTS_PER_KEY)
        rest += [key for key, count in scan.unwanted.items() if count >= EVENTS_PER_KEY]
        if scan.cut_off:
            rest += [key for _, key in scan.keys if key.tenant_id in scan.idle]
        for key in (*rest, *(key for _, key in scan.keys if key.tenant_id in waiting)):
            self.turns.add(key, now=now, after_event=last.get(key, FIRST_EVENT))

    async def _lease_turns(
        self, db: Connection, limit: int, most_of: Callable[[TenantId], int] | None
    ) -> Leased:
        turns = self.turns.next_turns(limit=limit, most_of=most_of) if limit > 0 else []
        if not turns:
            return NOTHING
        try:
            slow = self._slow.all(now=time.monotonic())
            leased = await leased_events.lease_turns(db, turns, self._leasing, slow=slow)
        except BaseException:
            self.turns.failed(turns, now=time.monotonic())
            raise
        events = defaultdict(list)
        for each in leased.events:
            events[each.key].append(each.event.id)
        now = time.monotonic()
        self._note_slow(leased, now)
        for turn in turns:
            self.turns.took(turn, events[turn.key], now=now)
        if self.turns.has_continuations or (self.turns.has_room and self._scan.waits_aside):
            self.search.wake.set()
        return leased
