"""
Gives leases of events back that this daemon will not use, so that no event waits for their end.

The rule: it waits for no lock. Where another transaction holds an event's row, mostly another
daemon for a moment, the lease is given back a little later.
"""

import time
from collections.abc import Iterable
from dataclasses import replace
from math import inf

from daemon.core.scheduling.inbox_turns import InboxKey
from daemon.store import inbox_leases
from daemon.store.database import Database
from daemon.store.leased_events import LeasedEvent, Leasing

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.02, 1.0
AT_ONCE = 500


class ReturnedLeases:
    """The leases that are still to be given back."""

    def __init__(self, database: Database, *, leasing: Leasing) -> None:
        self._database = database
        self._leasing = leasing
        self._events: list[LeasedEvent] = []
        self._pause = FIRST_PAUSE_SECONDS
        self._due_at = 0.0

    def add(self, events: Iterable[LeasedEvent]) -> None:
        """Let the leases of these be given back soon, if they are still ours then."""
        self._events += [replace(each, data=None) for each in events]

    def due_in(self, *, now: float) -> float:
        """Seconds until leases can be given back; infinite if there are none."""
        return max(0.0, self._due_at - now) if self._events else inf

    async def give_back(self) -> set[InboxKey]:
        """Give back those that can be now; returns where their events lie."""
        if self.due_in(now=time.monotonic()) > 0.0:
            return set()
        events = self._events[:AT_ONCE]
        async with self._database.connection() as db:
            locked = await inbox_leases.release(db, events, daemon_key=self._leasing.daemon_key)
        self._events = self._events[len(events) :] + locked
        if locked:
            self._due_at = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        else:
            self._pause = FIRST_PAUSE_SECONDS
        held = {id(each) for each in locked}
        return {each.key for each in events if id(each) not in held}
