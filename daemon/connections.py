"""
Connections to receivers: looked up, judged, opened, kept for a while, and closed.

The rule it upholds: the address that was judged is the address that is connected to, and a name
of which any address is forbidden is not connected to at all.
"""

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import aiodns
import aiohappyeyeballs

from daemon.exchange import Connection
from daemon.targets import EgressPolicy, Refusal, Target, judge_address

# Shorter than the 5 s after which Node.js closes an idle connection under our hands.
IDLE_SECONDS = 4.0
IDLE_PER_TARGET = 512
IDLE_IN_ALL = 2048
ADDRESSES_TRIED = 8  # a name with a thousand addresses must not make us knock a thousand times
EYEBALLS_DELAY = 0.25  # RFC 8305, section 5
# c-ares waits 0.25 s at least for a first answer and twice as long each time: 3.75 s in all.
LOOKUP_TRIES = 4
# ares.h; pycares has no name for it. To sort them by RFC 6724, c-ares calls connect() on every
# address, if only a UDP socket's: no packet leaves, but nothing is to touch what is not judged yet.
ARES_AI_NOSORT = 1 << 7


class RefusedTargetError(Exception):
    """The host's address may not be called; `str()` is the reason for the customer."""


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
            reason = error.args[1] if len(error.args) > 1 else "no answer"
            raise LookupFailedError(str(reason)) from error
        return list(dict.fromkeys(_printed(node.addr[0]) for node in found.nodes))

    async def close(self) -> None:
        await self._channel.close()


class Connections:
    """Every connection of one daemon, by target; `take` and `give_back` are its whole use."""

    def __init__(self, policy: EgressPolicy, *, resolver: Resolver, tls: ssl.SSLContext) -> None:
        self._loop = asyncio.get_running_loop()
        self._policy = policy
        self._resolver = resolver
        self._tls = tls
        self._idle: dict[tuple[bool, str, int], deque[tuple[Connection, float]]] = {}
        self._idle_in_all = 0
        self._sweep: asyncio.TimerHandle | None = None

    def take_idle(self, target: Target) -> Connection | None:
        """A kept connection that still seems usable; the youngest, so that the others age."""
        kept = self._idle.get(_key(target))
        oldest = asyncio.get_running_loop().time() - IDLE_SECONDS
        while kept:
            connection, since = kept.pop()
            self._idle_in_all -= 1
            if since > oldest and connection.usable:
                return connection
            connection.close()
        return None

    async def open(self, target: Target) -> Connection:
        """
        A fresh connection, TLS included.

        Raises RefusedTargetError, LookupFailedError, ssl.SSLError or OSError; ConnectionError when
        the receiver hangs up during the TLS handshake.
        """
        addresses = (await self._judged(target))[:ADDRESSES_TRIED]
        sock = await aiohappyeyeballs.start_connection(
            [_address_info(address, target.port) for address in addresses],
            happy_eyeballs_delay=EYEBALLS_DELAY,
            interleave=1,
            loop=self._loop,
        )
        try:
            _, connection = await self._loop.create_connection(
                Connection,
                sock=sock,
                ssl=self._tls if target.tls else None,
                server_hostname=target.host if target.tls else None,
            )
        except BaseException:
            sock.close()
            raise
        return connection

    def give_back(self, target: Target, connection: Connection) -> None:
        """Keep the connection for the next request to the same target."""
        kept = self._idle.setdefault(_key(target), deque())
        if len(kept) >= IDLE_PER_TARGET or self._idle_in_all >= IDLE_IN_ALL:
            connection.close()
            return
        loop = asyncio.get_running_loop()
        kept.append((connection, loop.time()))
        self._idle_in_all += 1
        if self._sweep is None:
            self._sweep = loop.call_later(IDLE_SECONDS / 2, self._close_idle)

    async def close(self) -> None:
        """Close what is kept; connections that are out belong to those who took them."""
        if self._sweep is not None:
            self._sweep.cancel()
        for kept in self._idle.values():
            for connection, _ in kept:
                connection.close()
        self._idle.clear()
        self._idle_in_all = 0
        await self._resolver.close()

    async def _judged(self, target: Target) -> list[str]:
        literal = _is_literal(target.host)
        addresses = [target.host] if literal else await self._resolver.addresses(target.host)
        for address in addresses:
            refusal = judge_address(address, self._policy)
            if isinstance(refusal, Refusal):
                raise RefusedTargetError(refusal.reason)
        if not addresses:
            raise LookupFailedError("it has no address")
        return addresses

    def _close_idle(self) -> None:
        oldest = self._loop.time() - IDLE_SECONDS
        for key, kept in list(self._idle.items()):
            while kept and (kept[0][1] < oldest or not kept[0][0].usable):
                kept.popleft()[0].close()
                self._idle_in_all -= 1
            if not kept:
                del self._idle[key]
        self._sweep = None
        if self._idle:
            self._sweep = self._loop.call_later(IDLE_SECONDS / 2, self._close_idle)


def _key(target: Target) -> tuple[bool, str, int]:
    return (target.tls, target.host, target.port)


def _printed(address: bytes | str) -> str:
    return address.decode("ascii") if isinstance(address, bytes) else address


def _is_literal(host: str) -> bool:
    if ":" in host:
        return True
    with contextlib.suppress(OSError):
        return bool(socket.inet_aton(host))
    return False


def _address_info(
    address: str, port: int
) -> tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]:
    if ":" in address:
        return (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
