"""
Keeps the leases of open events: no other daemon makes their attempts meanwhile.

Mostly an event is open for less than a second. It is for longer while its results cannot be stored:
another session locks a table, or the server's disk is full. The rule: only a daemon that has died,
or has no connection, loses an event whose attempts it has made.
"""

import asyncio
import time
from collections.abc import Sequence

from daemon.core.errors import FullDatabaseError
from daemon.pipeline.open_events import OpenEvent, OpenEvents
from daemon.store import inbox_leases
from daemon.store.database import Database
from daemon.store.leased_events import Leasing

AT_ONCE = 500


class OpenLeases:
    """The loop; it prolongs each lease of which a quarter has passed."""

    name = "open_leases"

    def __init__(self, database: Database, events: OpenEvents, *, leasing: Leasing) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._events = events
        self._leasing = leasing
        self._quarter = leasing.lease.total_seconds() / 4

    async def run_once(self) -> float:
        due = self._events.leased_before(time.monotonic() - self._quarter)
        for first in range(0, len(due), AT_ONCE):
            await self._prolong(due[first : first + AT_ONCE])
        return self._quarter / 4

    async def _prolong(self, events: Sequence[OpenEvent]) -> None:
        """Prolong leases; on a full disk in halves, down to those whose pages have room."""
        try:
            await self._prolong_together(events)
        except FullDatabaseError:
            if len(events) > 1:
                middle = len(events) // 2
                await self._prolong(events[:middle])
                await self._prolong(events[middle:])

    async def _prolong_together(self, events: Sequence[OpenEvent]) -> None:
        async with self._events.writing:
            leased = [each.leased for each in events if self._events.has(each.leased)]
            async with self._database.transaction(for_all=True) as db:
                prolonged = await inbox_leases.prolong(
                    db, leased, daemon_key=self._leasing.daemon_key, lease=self._leasing.lease
                )
            for each in prolonged:
                self._events.renew(each)
        now = time.monotonic()
        for event in events:  # also those that are locked, or lost
            event.leased_at = now
