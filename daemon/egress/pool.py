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
from dataclasses import dataclass
from typing import Any

import aiohappyeyeballs

from daemon.core.model.secrets import ClientCertificate
from daemon.core.policy.addresses import judge_address
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.core.policy.refusal import Refusal
from daemon.core.policy.urls import Target
from daemon.egress import proxy
from daemon.egress.http1 import Connection
from daemon.egress.loop_budget import LoopBudget
from daemon.egress.proxy import Proxy
from daemon.egress.resolver import LookupFailedError, Resolver
from daemon.egress.timings import Timings
from daemon.egress.tls_context import TlsContexts
from daemon.egress.tls_transport import TlsTransport

# Shorter than the 5 s after which Node.js closes an idle connection under our hands.
IDLE_SECONDS = 4.0
IDLE_PER_TARGET = 512
IDLE_IN_ALL = 2048
ADDRESSES_TRIED = 8  # a name with a thousand addresses must not make us knock a thousand times
# To judge a thousand takes a hundredth of a second.
ADDRESSES_JUDGED = 1024
EYEBALLS_DELAY = 0.25  # RFC 8305, section 5
# For the way to the proxy: less than an attempt has, so that it is seen whose fault it is.
PROXY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom a connection leads to, and as whom we show ourselves there."""

    target: Target
    client: ClientCertificate | None = None

    @property
    def key(self) -> tuple[bool, str, int, ClientCertificate | None]:
        """What connections must have in common to stand in for one another."""
        return (self.target.tls, self.target.host, self.target.port, self.client)


class RefusedTargetError(Exception):
    """The host's address may not be called; `str()` is the reason for the customer."""


class UnreachableError(Exception):
    """The receiver does not let itself be connected to; `str()` is for the customer."""


class ConnectionPool:
    """
    Every connection of one daemon; `take_idle`, `open` and `give_back` are its whole use.

    They are kept by target and client certificate: a receiver that knows a webhook by its
    certificate must not take another webhook for it.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        resolver: Resolver,
        tls: TlsContexts,
        proxy: Proxy | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._policy = policy
        self._resolver = resolver
        self._tls = tls
        self._proxy = proxy
        self._turns = LoopBudget()
        self._idle: dict[tuple[Any, ...], deque[tuple[Connection, float]]] = {}
        self._idle_in_all = 0
        self._sweep: asyncio.TimerHandle | None = None

    def take_idle(self, peer: Peer) -> Connection | None:
        """A kept connection that still seems usable; the youngest, so that the others age."""
        kept = self._idle.get(peer.key)
        oldest = asyncio.get_running_loop().time() - IDLE_SECONDS
        while kept:
            connection, since = kept.pop()
            self._idle_in_all -= 1
            if since > oldest and connection.usable:
                return connection
            connection.close()
        return None

    async def open(self, peer: Peer, watch: Timings) -> Connection:
        """
        A fresh connection, TLS included.

        Raises RefusedTargetError, LookupFailedError, UnreachableError, UnusableCertificateError,
        ssl.SSLError or OSError; ConnectionError when the receiver hangs up during the TLS
        handshake; PostponedError when it is the resolver or the proxy that fails.
        """
        target = peer.target
        context = self._tls.of(peer.client) if target.tls else None
        watch.enter("lookup")
        addresses = (await self._judged(target))[:ADDRESSES_TRIED]
        watch.enter("connect")
        if self._proxy is None:
            sock = await self._connect(addresses, target.port)
        else:
            sock = await self._through(self._proxy, addresses, target.port)
        if target.tls:
            watch.enter("tls")
        try:
            if context is None:
                _, connection = await self._loop.create_connection(Connection, sock=sock)
                return connection
            return await self._secured(sock, context, target.host)
        except BaseException:
            sock.close()
            raise

    async def _secured(self, sock: socket.socket, context: ssl.SSLContext, host: str) -> Connection:
        connection = Connection()
        _, secured = await self._loop.create_connection(
            lambda: TlsTransport(connection, context, host, turns=self._turns), sock=sock
        )
        try:
            await secured.ready
        except BaseException:
            secured.abort()
            raise
        return connection

    async def _connect(self, addresses: Sequence[str], port: int) -> socket.socket:
        return await aiohappyeyeballs.start_connection(
            [_address_info(address, port) for address in addresses],
            happy_eyeballs_delay=EYEBALLS_DELAY,
            interleave=1,
            loop=self._loop,
        )

    async def _through(self, via: Proxy, addresses: Sequence[str], port: int) -> socket.socket:
        """A way through the proxy to the first of the addresses that it can reach."""
        for address in addresses:
            sock = await self._connect_to_proxy(via)
            try:
                await proxy.tunnel(sock, via, address, port)
            except proxy.UnreachableError:
                sock.close()
            except proxy.ForbiddenError:
                sock.close()
                raise RefusedTargetError("the host is not allowed here") from None
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise UnreachableError("the receiver cannot be reached")

    async def _connect_to_proxy(self, via: Proxy) -> socket.socket:
        """To the proxy, which the operator chose: its address is judged by nobody."""
        try:
            async with asyncio.timeout(PROXY_SECONDS):
                literal = _is_literal(via.host)
                addresses = [via.host] if literal else await self._resolver.addresses(via.host)
                return await self._connect(addresses[:ADDRESSES_TRIED], via.port)
        except (LookupFailedError, OSError, ValueError) as error:  # TimeoutError is an OSError
            raise proxy.ProxyError("the egress proxy cannot be reached") from error

    def give_back(self, peer: Peer, connection: Connection) -> None:
        """Keep the connection for the next request to the same peer."""
        kept = self._idle.setdefault(peer.key, deque())
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
        if len(addresses) > ADDRESSES_JUDGED:
            raise LookupFailedError("it has too many addresses")
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
