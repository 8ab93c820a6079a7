"""
New connections to receivers: resolve, judge, connect, tunnel through the proxy, negotiate TLS.

Rule: the address that was judged is the address that is connected to.
"""

import asyncio
import socket
from collections.abc import Sequence
from functools import lru_cache, partial

import aiohappyeyeballs

from daemon.core.policy.egress_policy import EgressPolicy
from daemon.egress.failures import raise_shortage
from daemon.egress.handshake_threads import HandshakeThreads
from daemon.egress.host_key import host_key
from daemon.egress.http1 import HttpConnection
from daemon.egress.long_responses import LongResponses
from daemon.egress.lookups import Lookups
from daemon.egress.loop_budget import LoopBudget, OwnBudget
from daemon.egress.network import OwnNetwork
from daemon.egress.peer import Peer
from daemon.egress.proxy import Proxy, ProxyError, ReceiverUnreachableError, Tunnels
from daemon.egress.resets import reset, reset_socket
from daemon.egress.resolved_addresses import (
    address_info,
    addresses_of,
    first_of_each_family,
    is_address,
    permitted_addresses,
)
from daemon.egress.resolver import LookupFailedError, Resolver
from daemon.egress.routes import SocketAddress
from daemon.egress.slow_chains import SlowChains
from daemon.egress.timings import Timings
from daemon.egress.tls_context import TlsSessions
from daemon.egress.tls_session import TlsSession
from daemon.egress.tls_transport import TlsTransport
from daemon.runtime.metrics.egress import EgressMetrics

# A name with a thousand addresses must not make us try a thousand connections.
MAX_TRIED_OF_FAMILY = 3
HAPPY_EYEBALLS_DELAY_SECONDS = 0.25  # RFC 8305, section 5
# Less than an attempt may take, so that a slow proxy is not mistaken for a slow receiver.
PROXY_CONNECT_SECONDS = 2.0
LITERALS_REMEMBERED = 4096
# Of the event loop's time. Each address is judged, and a few are connected to.
OPENING_SECONDS = 0.001
JUDGING_SECONDS = 0.000012
CONNECTING_SECONDS = 0.00018


class Connector:
    """
    Opens the connections of one daemon, directly or through the egress proxy.

    `proxy_resolver` looks up the proxy's own name, which the operator chose. Connections to
    `unproven` endpoints, which have not shown that they are quick, wait in a line of their own.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        resolver: Resolver,
        tls: TlsSessions,
        budget: LoopBudget,
        network: OwnNetwork,
        proxy: Proxy | None = None,
        proxy_resolver: Resolver | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._policy = policy
        self._resolver = resolver
        self._lookups = Lookups(resolver)
        self._proxy_resolver = proxy_resolver or resolver
        self._tls = tls
        self._threads = HandshakeThreads()
        self._slow_chains = SlowChains()
        self._tunnels = None if proxy is None else Tunnels(proxy)
        self._budget = budget
        self._network = network
        self._long_responses = LongResponses()

    async def open(
        self,
        peer: Peer,
        timings: Timings,
        *,
        tried: list[SocketAddress],
        unproven: bool = False,
    ) -> HttpConnection:
        """
        Open a connection to the peer and complete its TLS handshake.

        The destinations that it tries to reach, a proxy's too, are added to `tried`.

        Raises TargetForbiddenError when the proxy forbids the target, LookupFailedError,
        ReceiverUnreachableError, UnusableCertificateError, RefusedTlsError, ssl.SSLError or another
        OSError (ConnectionError when the receiver hangs up during the TLS handshake);
        PostponedError when the name servers or the proxy fail.
        """
        target = peer.target
        self._slow_chains.check(peer.tenant_id, target.host)
        budget = self._budget.of(peer.tenant_id)
        await budget.turn(OPENING_SECONDS, unproven=unproven)
        session = None
        if target.tls:
            session = await self._tls.begin(target.host, peer.client, tenant_id=peer.tenant_id)
        timings.enter("lookup")
        lookups = self._lookups.of(peer.tenant_id)
        addresses = await permitted_addresses(target.host, self._policy, resolver=lookups)
        few = first_of_each_family(addresses, MAX_TRIED_OF_FAMILY)
        if len(addresses) > 1:
            seconds = JUDGING_SECONDS * len(addresses) + CONNECTING_SECONDS * len(few)
            await budget.turn(seconds, unproven=unproven)
        timings.enter("connect")
        sock = await self._connect(few, target.port, tried)
        try:
            destination = _destination(sock)
            if session is None:
                connection = await self._start_http(sock, peer, budget=budget)
            else:
                timings.enter("tls")
                connection = await self._start_tls(sock, session, peer, budget=budget)
        except BaseException:
            reset_socket(sock)
            raise
        connection.destination = destination
        return connection

    def host_of(self, host: str) -> str | None:
        """The key of the address that a host name had at its last lookup; None if unknown."""
        return _literal_key(host) or self._lookups.key_of(host)

    def follow_by(self, metrics: EgressMetrics) -> None:
        """Have the metrics read how many lookups there are, at each scrape."""
        self._lookups.places.follow_by(metrics)

    async def close(self) -> None:
        """Close the resolvers, and end the threads that load certificates and shake hands."""
        self._tls.close()
        self._threads.close()
        await self._resolver.close()
        if self._proxy_resolver is not self._resolver:
            await self._proxy_resolver.close()

    async def _connect(
        self, addresses: Sequence[str], port: int, tried: list[SocketAddress]
    ) -> socket.socket:
        if self._tunnels is None:
            return await self._connect_directly(addresses, port, tried)
        return await self._connect_through(self._tunnels, addresses, port, tried=tried)

    async def _connect_directly(
        self, addresses: Sequence[str], port: int, tried: list[SocketAddress]
    ) -> socket.socket:
        tried.extend((address, port) for address in addresses)
        sock = await aiohappyeyeballs.start_connection(
            [address_info(address, port) for address in addresses],
            happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY_SECONDS,
            interleave=1,
            loop=self._loop,
        )
        if (destination := _destination(sock)) is not None:
            self._network.reached(destination)
        return sock

    async def _connect_through(
        self, tunnels: Tunnels, addresses: Sequence[str], port: int, *, tried: list[SocketAddress]
    ) -> socket.socket:
        """Return a tunnel to the first of the addresses that the proxy can reach."""
        unreachable = []
        for address in addresses:
            sock = await self._connect_to_proxy(tunnels.proxy, tried)
            try:
                await tunnels.open(sock, address=address, port=port)
            except ReceiverUnreachableError as error:
                unreachable.append(error)
                reset_socket(sock)
            except BaseException:
                reset_socket(sock)
                raise
            else:
                return sock
        raise unreachable[0]

    async def _connect_to_proxy(self, proxy: Proxy, tried: list[SocketAddress]) -> socket.socket:
        """The operator chose the proxy: the egress policy does not apply to its address."""
        try:
            async with asyncio.timeout(PROXY_CONNECT_SECONDS):
                addresses = await addresses_of(proxy.host, self._proxy_resolver)
                few = first_of_each_family(addresses, MAX_TRIED_OF_FAMILY)
                return await self._connect_directly(few, proxy.port, tried)
        except (LookupFailedError, OSError, ValueError) as error:  # TimeoutError is an OSError
            raise_shortage(error)
            raise ProxyError("the egress proxy cannot be reached") from error

    async def _start_http(
        self, sock: socket.socket, peer: Peer, *, budget: OwnBudget
    ) -> HttpConnection:
        long = self._long_responses.of(peer.tenant_id)
        _, connection = await self._loop.create_connection(
            lambda: HttpConnection(budget=budget, long=long), sock=sock
        )
        return connection

    async def _start_tls(
        self, sock: socket.socket, session: TlsSession, peer: Peer, *, budget: OwnBudget
    ) -> HttpConnection:
        owner, host = peer.tenant_id, peer.target.host
        connection = HttpConnection(long=self._long_responses.of(owner))
        _, transport = await self._loop.create_connection(
            lambda: TlsTransport(
                connection,
                session,
                budget=budget,
                run_step=partial(self._threads.run, owner),
                report_slow=partial(self._slow_chains.add, owner, host),
            ),
            sock=sock,
        )
        try:
            await transport.handshake
        except BaseException:
            reset(transport)
            raise
        return connection


@lru_cache(LITERALS_REMEMBERED)
def _literal_key(host: str) -> str | None:
    """The key of an address; None for a name."""
    return host_key([host]) if is_address(host) else None


def _destination(sock: socket.socket) -> SocketAddress | None:
    """The address that a socket is connected to; None if the other end has reset it already."""
    try:
        host, port = sock.getpeername()[:2]
    except OSError:
        return None
    return host, port
