"""Name lookups through c-ares, which needs no threads."""

import socket
from collections.abc import Sequence
from typing import Protocol

import aiodns

from daemon.core.errors import PostponedError

# c-ares waits at least 0.25 s for a first reply and twice as long each time: 3.75 s in all.
LOOKUP_TRIES = 4
# ares.h; pycares has no name for it. To sort addresses by RFC 6724, c-ares calls connect() on each
# of them, if only on a UDP socket: no packet is sent, but nothing may use an address before it is
# judged.
ARES_AI_NOSORT = 1 << 7


class LookupFailedError(Exception):
    """The host name has no address; `str()` is the resolver's reason."""


class NameLookup(Protocol):
    """Turns a host name into addresses in the form that `socket` prints."""

    async def addresses(self, host: str) -> list[str]:
        """Return every IPv4 and IPv6 address of `host`. Raises LookupFailedError."""


class Resolver(NameLookup, Protocol):
    """A source of lookups that is closed in the end."""

    async def close(self) -> None:
        """Stop all lookups."""


class CaresResolver:
    """
    Lookups with the system's resolver configuration and hosts file.

    `nameservers`, as `address:port`, replace the system's.
    """

    def __init__(self, nameservers: Sequence[str] | None = None) -> None:
        self._channel = aiodns.DNSResolver(nameservers, tries=LOOKUP_TRIES)

    async def addresses(self, host: str) -> list[str]:
        """
        Return every IPv4 and IPv6 address of `host`.

        Raises LookupFailedError, or PostponedError when no name server can be reached.
        """
        try:
            found = await self._channel.getaddrinfo(
                host, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM, flags=ARES_AI_NOSORT
            )
        except aiodns.error.DNSError as error:
            if error.args[0] == aiodns.error.ARES_ECONNREFUSED:
                raise PostponedError("our own name servers cannot be reached") from error
            reason = error.args[1] if len(error.args) > 1 else "no reply"
            raise LookupFailedError(str(reason)) from error
        return list(dict.fromkeys(_text(node.addr[0]) for node in found.nodes))

    async def close(self) -> None:
        """Stop all lookups."""
        await self._channel.close()


def _text(address: bytes | str) -> str:
    return address.decode("ascii") if isinstance(address, bytes) else address
