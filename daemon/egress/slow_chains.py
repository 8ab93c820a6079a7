"""
Receivers whose certificate chains took long to read, which are not connected to for a while.

Rule: nothing can end a handshake while OpenSSL reads a certificate. So there is none with a host
that has sent such a chain, until its time is over.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from daemon.egress.tls_session import RefusedTlsError

# The steps of one handshake together, of CPU time. Honest chains take a few milliseconds.
LONGEST_HANDSHAKE_SECONDS = 0.25
FIRST_SECONDS = 120.0
LONGEST_SECONDS = 3600.0
FRESH_AFTER_SECONDS = 3600.0  # a slow chain so long after the last one is a first one again
MAX_HOSTS = 4096

CHAIN_TOO_SLOW = "the receiver's certificate chain takes too long to read"


@dataclass(frozen=True, slots=True)
class _Refusal:
    seconds: float
    until: float


class SlowChains:
    """The hosts of each owner that are refused, by the event loop's clock."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._refusals: OrderedDict[tuple[Hashable, str], _Refusal] = OrderedDict()

    def check(self, owner: Hashable, host: str) -> None:
        """Raises RefusedTlsError for a host that the owner may not connect to for now."""
        refusal = self._refusals.get((owner, host))
        if refusal is not None and self._loop.time() < refusal.until:
            raise RefusedTlsError(CHAIN_TOO_SLOW)

    def add(self, owner: Hashable, host: str) -> None:
        """Refuse a host for a while, twice as long as the last time."""
        now, seconds = self._loop.time(), FIRST_SECONDS
        before = self._refusals.get((owner, host))
        if before is not None and now < before.until:
            return  # by another handshake that was under way
        if before is not None and now < before.until + FRESH_AFTER_SECONDS:
            seconds = min(LONGEST_SECONDS, 2 * before.seconds)
        self._refusals[owner, host] = _Refusal(seconds, now + seconds)
        self._refusals.move_to_end((owner, host))
        if len(self._refusals) > MAX_HOSTS:
            self._refusals.popitem(last=False)
