"""
Finds what waits in the inbox aside from the scans for new events, which must be quick.

That is what there was before the first scan, what transactions inserted that ran for long, and, at
intervals, everything: what other daemons took and did not finish, and what came with a dump of
another server. Reading it may mean to pass a
million dead rows, which delays no one. Events found are leased in turns, like any backlog, one by
one: only this search passes the dead rows between them. Those of tenants without webhooks are
removed at once.

The rule: what is kept of them is bounded, however many tenants a transaction had events of. The
search goes on from where it was when enough of them have been leased.
"""

import asyncio
import time
from collections.abc import Iterable

import structlog

from daemon.core.errors import StatementTimeoutError
from daemon.core.model.ids import TenantId
from daemon.core.scheduling.inbox_scan import InboxScan
from daemon.core.scheduling.inbox_turns import Continuation, FoundEvents, InboxTurns
from daemon.core.scheduling.slow_tenants import SlowTenants
from daemon.store import event_inbox, inbox_leases, restored_events, unwanted_events
from daemon.store.database import Database
from daemon.store.leased_events import Leasing
from daemon.store.session import Connection

log = structlog.get_logger()

FULL_SCAN_SECONDS = 10.0
KEYS = 1000  # places that one statement finds
ROOM_SECONDS = 0.1  # until it looks whether there is room again; a lease wakes it before
REMOVALS = 20  # of what is unwanted at these places; the rest is looked for place by place


class InboxSearch:
    """The loop; it adds places to `turns`, and wakes fan-out."""

    name = "inbox_search"

    def __init__(
        self,
        database: Database,
        scan: InboxScan,
        turns: InboxTurns,
        *,
        wake: asyncio.Event,
        leasing: Leasing,
        slow: SlowTenants,
    ) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._scan = scan
        self._turns = turns
        self._wake_fanout = wake
        self._leasing = leasing
        self._slow = slow
        self._full_scan_at = 0.0
        self._future_known = False  # that there are numbers of another server, and logged

    def begin_full_scan(self) -> None:
        """Read everything again, soon."""
        self._full_scan_at = 0.0
        self.wake.set()

    async def run_once(self) -> float:
        await self._find_more_events()
        await self._begin_full_scan_if_due()
        pieces = self._scan.next_aside() if self._turns.has_room else []
        if not pieces:
            if self._turns.has_continuations:
                return 0.0
            if self._scan.waits_aside:
                return ROOM_SECONDS
            return max(0.0, self._full_scan_at - time.monotonic())
        keys = max(1, KEYS // len(pieces))
        try:
            async with self._database.connection() as db:
                found = await event_inbox.find_places(db, pieces, keys=keys)
                wanted = await self._without_unwanted(db, [each for _, each in found])
        except StatementTimeoutError as error:
            log.warning("fanout.search_timed_out", reason=str(error), pieces=len(pieces))
            self._scan.took_too_long(pieces)
            return 0.0
        except BaseException:
            self._scan.not_read_aside(pieces)
            raise
        self._scan.read_aside(pieces, [(at, each.key) for at, each in found], most=keys)
        self._found(wanted)
        return 0.0

    async def _find_more_events(self) -> None:
        """At one of the places of which those that were found have been leased."""
        where = self._turns.next_continuation()
        if where is None:
            return
        try:
            async with self._database.connection() as db:
                found = await event_inbox.find_events(db, where)
                wanted = await self._without_unwanted(db, [found])
        except StatementTimeoutError as error:  # left to the next full scan
            log.warning("fanout.search_timed_out", reason=str(error), pieces=1)
        except BaseException:
            self._turns.continue_later(where)
            raise
        else:
            self._found(wanted)

    async def _without_unwanted(
        self, db: Connection, found: Iterable[FoundEvents]
    ) -> list[FoundEvents]:
        """Remove the events of tenants without webhooks; returns what was found of others."""
        wanted = [each for each in found if each.events]
        places = [Continuation(each.key, each.events[0]) for each in wanted]
        idle: set[TenantId] = set()
        for _ in range(REMOVALS):
            if not places:
                break
            now = time.monotonic()
            try:
                removed = await unwanted_events.remove(db, places, slow=self._slow.all(now=now))
            except StatementTimeoutError as error:  # they are leased like others
                log.warning("fanout.search_timed_out", reason=str(error), pieces=len(places))
                break
            for tenant_id, pages in removed.pages.items():
                self._slow.note(tenant_id, pages, now=now)
            idle |= removed.idle
            places = removed.left
        for place in places if idle else ():
            self._turns.continue_later(place)
        return [each for each in wanted if each.key.tenant_id not in idle]

    def _found(self, found: Iterable[FoundEvents]) -> None:
        now = time.monotonic()
        for each in found:
            self._turns.add_found(each, now=now)
        if self._turns.in_line:
            self._wake_fanout.set()

    async def _begin_full_scan_if_due(self) -> None:
        if self._scan.full_scan_under_way:
            return
        now = time.monotonic()
        if now < self._full_scan_at and not self._turns.incomplete:
            return
        async with self._database.connection() as db:
            freed = await inbox_leases.free_leases_of_dead_daemons(
                db, daemon_key=self._leasing.daemon_key
            )
            future = await self._find_future(db)
        if freed:
            log.info("fanout.leases_freed", events=freed)
        self._turns.incomplete = False
        self._scan.begin_full_scan(future=future)
        self._full_scan_at = now + FULL_SCAN_SECONDS

    async def _find_future(self, db: Connection) -> tuple[int, int] | None:
        """The first and the last number in the inbox that this server has not reached, if any."""
        try:
            future = await restored_events.future_numbers(db)
        except StatementTimeoutError as error:  # left to the next full scan
            log.warning("fanout.search_timed_out", reason=str(error), pieces=1)
            return None
        if future is not None and not self._future_known:
            log.info("fanout.restored_events_found", first_xid=future[0], last_xid=future[1])
        self._future_known = future is not None
        return future
