"""
Lookups of receivers' names: bounded, shared, and remembered when they fail.

Rule: no address is remembered for a connection: each new one asks the resolver, because what it
connects to must be what was judged.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from daemon.egress.failed_lookups import FailedLookups
from daemon.egress.host_key import host_key
from daemon.egress.lookup_places import LookupPlaces
from daemon.egress.resolver import LookupFailedError, Resolver

MAX_WORKING_NAMES = 16_384
# A lookup given up sooner says nothing about the name.
UNANSWERED_SECONDS = 1.0


@dataclass(slots=True)
class _Lookup:
    task: asyncio.Task[list[str]]
    began: float
    waiters: int = 0


class Lookups:
    """All lookups of one daemon; those of the same name at the same time are one."""

    def __init__(self, resolver: Resolver) -> None:
        self._loop = asyncio.get_running_loop()
        self._resolver = resolver
        self._under_way: dict[str, _Lookup] = {}
        self.places = LookupPlaces()
        self._failed = FailedLookups()
        self._working: OrderedDict[str, str] = OrderedDict()  # names and their hosts' keys

    def key_of(self, host: str) -> str | None:
        """The key of the addresses that this name had when it was last looked up, if known."""
        return self._working.get(host) or None

    def of(self, tenant: Hashable) -> "TenantLookups":
        """The lookups for this tenant's requests."""
        return TenantLookups(self, tenant)

    async def addresses(self, host: str, *, tenant: Hashable) -> list[str]:
        """
        Return every address of `host`; the lookup takes a place of this tenant's share.

        Raises LookupFailedError, which may be a remembered one; PostponedError when the name
        servers cannot be reached, or when this tenant has too many lookups under way.
        """
        if host in self._working or host in self._under_way:
            return await self._join(host, tenant)
        self._raise_remembered(host, tenant)
        async with self.places.place(host, tenant):
            return await self._join(host, tenant)

    async def _join(self, host: str, tenant: Hashable) -> list[str]:
        """Wait for the lookup of this name that is under way, or begin one."""
        self._raise_remembered(host, tenant)
        lookup = self._under_way.get(host)
        if lookup is None:
            task = asyncio.create_task(self._look_up(host))
            lookup = self._under_way[host] = _Lookup(task, self._loop.time())
            task.add_done_callback(lambda _: self._end(host, lookup))
        lookup.waiters += 1
        try:
            return await asyncio.shield(lookup.task)
        finally:
            lookup.waiters -= 1
            if lookup.waiters == 0 and not lookup.task.done():
                self._give_up(host, lookup, tenant)

    async def _look_up(self, host: str) -> list[str]:
        try:
            addresses = await self._resolver.addresses(host)
        except LookupFailedError as error:
            worked = self._working.pop(host, None) is not None
            self._failed.add(host, error, now=self._loop.time(), worked=worked)
            raise
        self._failed.forget(host)
        self._working[host] = host_key(addresses) or ""
        self._working.move_to_end(host)
        if len(self._working) > MAX_WORKING_NAMES:
            self._working.popitem(last=False)
        return addresses

    def _give_up(self, host: str, lookup: _Lookup, tenant: Hashable) -> None:
        """
        Stop a lookup that no attempt waits for any more: their time is over.

        Its tenant chose that time: to others, who may wait for longer, it says nothing.
        """
        lookup.task.cancel()
        self._end(host, lookup)
        now = self._loop.time()
        if now - lookup.began >= UNANSWERED_SECONDS and host not in self._working:
            error = LookupFailedError("no reply")
            self._failed.add((host, tenant), error, now=now, worked=False)

    def _end(self, host: str, lookup: _Lookup) -> None:
        if self._under_way.get(host) is lookup:
            del self._under_way[host]

    def _raise_remembered(self, host: str, tenant: Hashable) -> None:
        now = self._loop.time()
        error = self._failed.get(host, now=now) or self._failed.get((host, tenant), now=now)
        if error is not None:
            raise error


@dataclass(frozen=True, slots=True)
class TenantLookups:
    """A resolver for the requests of one tenant."""

    lookups: Lookups
    tenant: Hashable

    async def addresses(self, host: str) -> list[str]:
        """Return every address of `host`, as `Lookups.addresses`."""
        return await self.lookups.addresses(host, tenant=self.tenant)
