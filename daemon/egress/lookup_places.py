"""
Places for lookups of names that are not known to work.

Rule: tenants and domains have shares of them, as tenants have of the slots for attempts, so that a
crowd of names without a reply leaves places to the others.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from daemon.core.errors import PostponedError
from daemon.core.scheduling.slots import Held, Share
from daemon.runtime.metrics.egress import EgressMetrics

PLACES = 128  # dnsmasq, as it comes, forwards 150 queries at once
SHARE = Share(1)
WAIT_SECONDS = 1.0

# Below these, names belong to different owners: the last three labels are the domain.
SECOND_LEVELS = frozenset({"ac", "co", "com", "edu", "gov", "ltd", "net", "ne", "or", "org"})


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    groups: tuple[Hashable, ...]
    place: asyncio.Future[None]


class LookupPlaces:
    """Counts lookups under way, in all and of each group."""

    def __init__(self) -> None:
        self._taken = 0
        self._groups: defaultdict[Hashable, Held] = defaultdict(Held)
        self._line: deque[_Waiting] = deque()

    def follow_by(self, metrics: EgressMetrics) -> None:
        """Have the metrics read how many places are taken, at each scrape."""
        metrics.lookups["running"].set_function(lambda: self._taken)
        metrics.lookups["waiting"].set_function(lambda: len(self._line))
        metrics.lookups_limit.set(PLACES)

    @asynccontextmanager
    async def place(self, host: str, tenant: Hashable) -> AsyncIterator[None]:
        """Hold a place. Raises PostponedError when none comes free within a second."""
        groups = (("tenant", tenant), ("domain", domain_of(host)))
        if not self._is_free(groups):
            await self._wait(groups)
        else:
            self._count(groups, 1)
        try:
            yield
        finally:
            self._count(groups, -1)
            self._hand_on()

    def _is_free(self, groups: tuple[Hashable, ...]) -> bool:
        free = PLACES - self._taken
        held = (self._groups[group].in_flight if group in self._groups else 0 for group in groups)
        return all(SHARE.room(held=each, free=free) for each in held)

    async def _wait(self, groups: tuple[Hashable, ...]) -> None:
        waiting = _Waiting(groups, asyncio.get_running_loop().create_future())
        self._line.append(waiting)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await waiting.place
        except BaseException as error:
            if waiting.place.done() and not waiting.place.cancelled():
                self._count(groups, -1)  # handed on in the same turn of the loop
                self._hand_on()
            else:
                self._line.remove(waiting)
            if isinstance(error, TimeoutError):
                raise PostponedError("too many names are being looked up") from error
            raise

    def _hand_on(self) -> None:
        """Give free places to the first in line whose groups may have one."""
        for waiting in list(self._line):
            if self._taken >= PLACES:
                return
            if not waiting.place.done() and self._is_free(waiting.groups):
                self._line.remove(waiting)
                self._count(waiting.groups, 1)
                waiting.place.set_result(None)

    def _count(self, groups: tuple[Hashable, ...], change: int) -> None:
        self._taken += change
        for group in groups:
            held = self._groups[group]
            held.in_flight += change
            if held.in_flight == 0:
                del self._groups[group]


def domain_of(host: str) -> str:
    """The domain that a host name most likely belongs to: its last two labels, or three."""
    labels = host.rstrip(".").split(".")
    is_shared = len(labels[-1]) == 2 and len(labels) > 2 and labels[-2] in SECOND_LEVELS
    return ".".join(labels[-3 if is_shared else -2 :])
