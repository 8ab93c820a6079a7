"""
A channel of c-ares without its cache of replies.

c-ares keeps each reply for its time to live, up to an hour, and any number of them. Customers'
name servers decide both: 500 names with long replies took 1.5 GB in a minute. Nor would an attempt
ask again for an address that has changed. pycares has no option to turn the cache off, but a
channel that reloads its configuration, which takes 0.1 ms of a thread, empties it.
"""

import asyncio
import socket
from asyncio import Future
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import aiodns
import pycares
from pycares import AddrInfoResult

# pycares has no name for it. To sort addresses by RFC 6724, c-ares calls connect() on each of them,
# if only on a UDP socket: no packet is sent, but nothing may use an address before it is judged.
ARES_AI_NOSORT = 1 << 7
KEPT_SECONDS = 1.0
# Replies may come so long after their lookup began: those of lookups that were given up, too.
LONGEST_SECONDS = 5.0


class DnsChannel(aiodns.DNSResolver):
    """
    Lookups at the system's name servers, or at `nameservers`, given as `address:port`.

    About `most_kept` replies are kept, each for KEPT_SECONDS. `options` are those of pycares.
    """

    def __init__(
        self, nameservers: Sequence[str] | None, *, most_kept: int, **options: Any
    ) -> None:
        super().__init__(nameservers, **options)
        self._most_kept = most_kept
        self._kept = 0
        self._last_reply_at = 0.0
        self._forgetting: asyncio.TimerHandle | None = None

    def look_up(self, name: str) -> Future[AddrInfoResult]:
        """Return the addresses of both families, unsorted. Raises aiodns.error.DNSError."""
        self._last_reply_at = self.loop.time() + LONGEST_SECONDS
        self._kept += 1
        if self._kept > self._most_kept:
            self._forget()
        if self._forgetting is None:
            self._forgetting = self.loop.call_later(KEPT_SECONDS, self._forget_again)
        return self.getaddrinfo(
            name, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM, flags=ARES_AI_NOSORT
        )

    async def close(self) -> None:
        """Stop all lookups."""
        if self._forgetting is not None:
            self._forgetting.cancel()
        await super().close()

    def _forget_again(self) -> None:
        self._forgetting = None
        self._forget()
        if self.loop.time() < self._last_reply_at:
            self._forgetting = self.loop.call_later(KEPT_SECONDS, self._forget_again)

    def _forget(self) -> None:
        self._kept = 0
        with suppress(pycares.AresError):  # no thread can be started: the next time
            self._channel.reinit()
