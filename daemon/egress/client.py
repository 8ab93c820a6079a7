"""
One guarded POST to a customer's URL, returned as an `Outcome`.

This is the only way in which the daemon calls an endpoint, and `send` is the only place where an
exception of a request becomes an `Outcome`. One deadline covers the whole request, from the lookup
to the last byte read (contract: `delivery.timeout`).
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
from daemon.egress.connector import Connector
from daemon.egress.deadline import Deadline
from daemon.egress.failures import REQUEST_ERRORS, failure_of
from daemon.egress.http1 import HttpConnection
from daemon.egress.http_messages import request_head, response_of, shown_head
from daemon.egress.loop_budget import LoopBudget
from daemon.egress.network import NoSuchNetworkError, OwnNetwork
from daemon.egress.own_faults import OwnFaults
from daemon.egress.peer import Peer
from daemon.egress.pool import ConnectionPool
from daemon.egress.proxy import Proxy
from daemon.egress.resolver import CaresResolver, Resolver
from daemon.egress.response_reader import ResponseError
from daemon.egress.timings import Timings
from daemon.egress.tls_context import TlsContexts, verifying_context
from daemon.runtime.stalls import StallWatch

URLS_REMEMBERED = 4096


class WebhookClient:
    """All requests of one daemon; create it inside the running loop, and close it there."""

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        timeout: timedelta,
        proxy: Proxy | None = None,
        resolver: Resolver | None = None,
        tls: Callable[[], ssl.SSLContext] = verifying_context,
        stalls: StallWatch | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout_seconds = timeout.total_seconds()
        self._judge_url = lru_cache(URLS_REMEMBERED)(lambda url: judge_url(url, policy))
        self._stalls = stalls or StallWatch()
        self._budget = LoopBudget()
        self._network = OwnNetwork()
        self._pool = ConnectionPool()
        self._connector = Connector(
            policy,
            resolver=resolver or CaresResolver(denied=policy.deny_hosts),
            tls=TlsContexts(tls),
            budget=self._budget,
            network=self._network,
            proxy=proxy,
            proxy_resolver=resolver or (CaresResolver(for_operator=True) if proxy else None),
        )

    async def send(self, request: Request) -> Outcome:
        """
        Send one POST and return its outcome; an endpoint's behaviour never raises.

        Cancelling it closes its connection and leaves nothing behind.

        Raises PostponedError for a fault of our own: this machine is out of sockets, ports or
        memory, its network is down or its name servers cannot be reached, the egress proxy fails,
        or this process stood still and has no response.
        """
        own_faults = OwnFaults(self._stalls, self._network)
        timings = Timings(self._stalls.running_time)
        target = self._judge_url(request.url)
        if isinstance(target, Refusal):
            return Outcome(Failure(FailureKind.REFUSED_TARGET, target.reason), took_ms=0)
        peer = Peer(target, request.client, request.tenant_id)
        head = request_head(target, request)
        result: Response | Failure
        try:
            result = await self._post(
                peer, head.encode("latin-1") + request.body, timings, own_faults
            )
        except REQUEST_ERRORS as error:
            result = self._failure(error, target, own_faults)
        shown = shown_head(target, request, head)
        return Outcome(result, timings.total_ms(), Trace(shown, timings.stages_ms()))

    def host_of(self, url: str) -> str | None:
        """The key of the address that this URL's host had at its last lookup; None if unknown."""
        target = self._judge_url(url)
        return None if isinstance(target, Refusal) else self._connector.host_of(target.host)

    async def close(self) -> None:
        """Close the idle connections and the resolver; requests under way must have ended."""
        self._stalls.close()
        self._pool.close()
        await self._connector.close()

    def _failure(self, error: Exception, target: Target, own_faults: OwnFaults) -> Failure:
        try:
            own_faults.check(error)
        except NoSuchNetworkError as missing:
            error = missing
        return failure_of(error, target, timeout_seconds=self._timeout_seconds)

    async def _post(
        self, peer: Peer, data: bytes, timings: Timings, own_faults: OwnFaults
    ) -> Response:
        deadline = Deadline(self._timeout_seconds, stalls=self._stalls, budget=self._budget)
        timings.enter("answer")
        idle = self._pool.take(peer)
        if idle is not None:
            if idle.destination is not None:
                own_faults.tried.append(idle.destination)
            try:
                return await self._exchange(peer, idle, data, deadline)
            except ResponseError as error:
                if error.response_started:
                    raise
                # The receiver was just closing the idle connection, which is no failure.
        async with deadline.limit():
            connection = await self._connector.open(peer, timings, tried=own_faults.tried)
        timings.enter("answer")
        return await self._exchange(peer, connection, data, deadline)

    async def _exchange(
        self, peer: Peer, connection: HttpConnection, data: bytes, deadline: Deadline
    ) -> Response:
        try:
            raw = await connection.exchange(data, deadline=deadline)
        except ResponseError:
            connection.close()
            raise
        if raw.reusable and 200 <= raw.status < 300:
            self._pool.put(peer, connection)
        else:
            connection.close()  # an endpoint in trouble gets a new connection the next time
        return response_of(raw)
