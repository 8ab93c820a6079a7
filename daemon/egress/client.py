"""
The narrow door to the outside: one guarded POST, and what came of it.

`send` never raises for what an endpoint does; it returns an `Outcome`. Nobody else in the house
knows how a request is made. The five seconds of the contract are one deadline over all of it.
"""

import asyncio
import ssl
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache

from daemon.core.model.attempts import Failure, FailureKind, Outcome, Request, Response, Trace
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.core.policy.refusal import Refusal
from daemon.core.policy.urls import Target, judge_url
from daemon.egress.failures import OPENING_FAILED, _failure_of, _failure_to_open
from daemon.egress.http1 import Connection, ExchangeError
from daemon.egress.messages import answer_of, head_of, wire_of
from daemon.egress.pool import ConnectionPool, Peer
from daemon.egress.proxy import Proxy
from daemon.egress.resolver import CaresResolver, Resolver
from daemon.egress.timings import Timings
from daemon.egress.tls_context import TlsContexts, verifying_context


class WebhookClient:
    """All requests of one daemon; make it inside the running loop, and close it there."""

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        timeout: timedelta,
        proxy: Proxy | None = None,
        resolver: Resolver | None = None,
        tls: Callable[[], ssl.SSLContext] = verifying_context,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = timeout.total_seconds()
        self._judge = lru_cache(maxsize=4096)(lambda url: judge_url(url, policy))
        self._connections = ConnectionPool(
            policy,
            resolver=resolver or CaresResolver(),
            tls=TlsContexts(tls),
            proxy=proxy,
        )

    async def send(self, request: Request) -> Outcome:
        """
        One POST. Cancelling it closes its connection; nothing else is left behind.

        Raises PostponedError for what is our own fault: this machine is out of sockets, ports or
        memory, its name servers cannot be reached, or the egress proxy fails.
        """
        watch = Timings(self._loop.time)
        target = self._judge(request.url)
        if isinstance(target, Refusal):
            return Outcome(Failure(FailureKind.REFUSED_TARGET, target.reason), took_ms=0)
        result = await self._attempt(target, request, watch)
        head = head_of(target, request, open_to_all=True)
        return Outcome(result, watch.total_ms(), Trace(head, watch.stages_ms()))

    async def close(self) -> None:
        await self._connections.close()

    async def _attempt(
        self, target: Target, request: Request, watch: Timings
    ) -> Response | Failure:
        peer, wire = Peer(target, request.client), wire_of(target, request)
        try:
            return await self._post(peer, wire, watch, watch.began + self._seconds)
        except TimeoutError:
            return Failure(FailureKind.TIMEOUT, f"no complete answer within {self._seconds:g} s")

    async def _post(
        self, peer: Peer, wire: bytes, watch: Timings, deadline: float
    ) -> Response | Failure:
        watch.enter("answer")
        kept = self._connections.take_idle(peer)
        if kept is not None:
            try:
                return await self._ask(peer, kept, wire, deadline)
            except ExchangeError as error:
                if error.heard:
                    return _failure_of(error)
                # The receiver was just closing a kept connection: that is not its failure.
        try:
            async with asyncio.timeout_at(deadline):
                fresh = await self._connections.open(peer, watch)
        except TimeoutError:
            raise  # the deadline's; as an OSError it would be taken for the network's below
        except OPENING_FAILED as error:
            return _failure_to_open(error, peer.target)
        watch.enter("answer")
        try:
            return await self._ask(peer, fresh, wire, deadline)
        except ExchangeError as error:
            return _failure_of(error)

    async def _ask(
        self, peer: Peer, connection: Connection, wire: bytes, deadline: float
    ) -> Response:
        try:
            raw = await connection.ask(wire, deadline=deadline)
        except ExchangeError:
            connection.close()
            raise
        if raw.reusable and 200 <= raw.status < 300:
            self._connections.give_back(peer, connection)
        else:
            connection.close()  # an endpoint in trouble gets a new connection the next time
        return answer_of(raw)
