"""Name lookups through c-ares."""

import socket
from collections.abc import Sequence
from typing import Protocol

import aiodns

from daemon.core.errors import PostponedError

# c-ares waits 0.25 s at least for a first answer and twice as long each time: 3.75 s in all.
LOOKUP_TRIES = 4


# ares.h; pycares has no name for it. To sort them by RFC 6724, c-ares calls connect() on every
# address, if only a UDP socket's: no packet leaves, but nothing is to touch what is not judged yet.
ARES_AI_NOSORT = 1 << 7


class LookupFailedError(Exception):
    """The host's name has no address; `str()` is the resolver's reason."""


class Resolver(Protocol):
    """What turns a name into addresses, as `socket` prints them."""

    async def addresses(self, host: str) -> list[str]:
        """Every IPv4 and IPv6 address of `host`; raises LookupFailedError."""

    async def close(self) -> None: ...


class CaresResolver:
    """
    The system's resolver configuration and hosts file, read by c-ares: no thread waits.

    `nameservers`, as `address:port`, are asked in place of the system's.
    """

    def __init__(self, nameservers: Sequence[str] | None = None) -> None:
        self._channel = aiodns.DNSResolver(nameservers, tries=LOOKUP_TRIES)

    async def addresses(self, host: str) -> list[str]:
        try:
            found = await self._channel.getaddrinfo(
                host, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM, flags=ARES_AI_NOSORT
            )
        except aiodns.error.DNSError as error:
            if error.args[0] == aiodns.error.ARES_ECONNREFUSED:
                raise PostponedError("our own name servers cannot be reached") from error
            reason = error.args[1] if len(error.args) > 1 else "no answer"
            raise LookupFailedError(str(reason)) from error
        return list(dict.fromkeys(_printed(node.addr[0]) for node in found.nodes))

    async def close(self) -> None:
        await self._channel.close()


def _printed(address: bytes | str) -> str:
    return address.decode("ascii") if isinstance(address, bytes) else address
