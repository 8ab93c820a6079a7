"""
One guarded POST to a customer's URL, returned as an `Outcome`.

This is the only way in which the daemon calls an endpoint, and `send` is the only place where an
exception of a request becomes an `Outcome`. One deadline covers the whole request, from the lookup
to the last byte read: the request's own timeout, or `delivery.timeout`.
"""

import asyncio
import ssl
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache

from daemon.core.model.attempts import Failure, FailureKind, Outcome, Request, Response
from daemon.core.model.ids import TenantId
from daemon.core.model.secrets import ClientCertificate
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.core.policy.refusal import Refusal
from daemon.core.policy.urls import judge_url
from daemon.egress.closing import ConnectionCloser
from daemon.egress.connector import Connector
from daemon.egress.deadline import Deadline, Deadlines
from daemon.egress.failures import REQUEST_ERRORS, failure_of
from daemon.egress.http1 import HttpConnection
from daemon.egress.http_messages import response_of
from daemon.egress.kept_requests import KeptRequest
from daemon.egress.loop_budget import LoopBudget
from daemon.egress.network import NoSuchNetworkError, OwnNetwork
from daemon.egress.own_faults import OwnFaults
from daemon.egress.peer import Peer
from daemon.egress.pool import ConnectionPool
from daemon.egress.proxy import Proxy
from daemon.egress.request_under_way import RequestUnderWay
from daemon.egress.resolver import CaresResolver, Resolver
from daemon.egress.response_reader import RawResponse, ResponseError
from daemon.egress.timings import Timings
from daemon.egress.tls_context import TlsSessions, verifying_context
from daemon.runtime.metrics.egress import EgressMetrics
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
        self._kept_peer_of = lru_cache(URLS_REMEMBERED)(self._new_peer)
        self._stalls = stalls or StallWatch()
        self._budget = LoopBudget()
        self._network = OwnNetwork()
        self._closer = ConnectionCloser()
        self._pool = ConnectionPool(self._closer)
        self._deadlines = Deadlines(self._timeout_seconds, stalls=self._stalls, budget=self._budget)
        self._connector = Connector(
            policy,
            resolver=resolver or CaresResolver(denied=policy.deny_hosts),
            tls=TlsSessions(tls),
            budget=self._budget,
            network=self._network,
            proxy=proxy,
            proxy_resolver=resolver or (CaresResolver(for_operator=True) if proxy else None),
        )

    async def send(self, request: Request, *, unproven: bool = False) -> Outcome:
        """
        Send one POST and return its outcome; an endpoint's behaviour never raises.

        Where many connections are to be opened, that of an `unproven` endpoint, which has not shown
        that it is quick, waits for others of its kind. Cancelling it closes its connection and
        leaves nothing behind.

        Raises PostponedError for a fault of our own: this machine is out of sockets, ports or
        memory, its network is down or its name servers cannot be reached, the egress proxy fails,
        or this process stood still and has no response.
        """
        peer = self._peer_of(request.url, request.client, request.tenant_id)
        if isinstance(peer, Refusal):
            return Outcome(Failure(FailureKind.REFUSED_TARGET, peer.reason), took_ms=0)
        sent = self._start(request, peer)
        return await self._finish(sent, self._pool.take(peer), unproven=unproven)

    def take(
        self, url: str, client: ClientCertificate | None, tenant_id: TenantId | None
    ) -> tuple[Peer, HttpConnection] | None:
        """Take a kept connection for `begin`; the caller closes it otherwise. None if none is."""
        peer = self._peer_of(url, client, tenant_id)
        if isinstance(peer, Refusal):
            return None
        connection = self._pool.take(peer)
        return None if connection is None else (peer, connection)

    def begin(
        self,
        request: Request,
        kept: tuple[Peer, HttpConnection],
        ended: Callable[[Outcome | Exception], None],
    ) -> KeptRequest:
        """
        Send one POST on a connection that `take` returned for its URL, certificate and tenant.

        `ended` is called with what `send` would return or raise.
        """
        peer, connection = kept
        sent = self._start(request, peer)
        _note_use(sent, connection)
        return KeptRequest(self, sent, connection, deadlines=self._deadlines, ended=ended)

    async def resend(self, sent: RequestUnderWay) -> Outcome:
        """
        Send a request on a new connection: the kept one brought no response.

        Raises PostponedError, as `send` does.
        """
        return await self._finish(sent, None)

    def received(
        self, sent: RequestUnderWay, connection: HttpConnection, raw: RawResponse
    ) -> Response:
        """Return the response, and keep the connection for another request if that may follow."""
        if raw.reusable and 200 <= raw.status < 300:
            self._pool.put(sent.peer, connection)
        else:
            # An endpoint in trouble gets a new connection the next time.
            self._closer.close_after_response(connection)
        return response_of(raw)

    def failure(self, error: Exception, sent: RequestUnderWay) -> Failure:
        """Return the failure of a request. Raises PostponedError for a fault of our own."""
        try:
            sent.own_faults.check(error)
        except NoSuchNetworkError as missing:
            error = missing
        return failure_of(error, sent.peer.target, timeout_seconds=sent.timeout_seconds)

    def host_of(self, url: str) -> str | None:
        """The key of the address that this URL's host had at its last lookup; None if unknown."""
        target = self._judge_url(url)
        return None if isinstance(target, Refusal) else self._connector.host_of(target.host)

    def follow_by(self, metrics: EgressMetrics) -> None:
        """Have the metrics read what is kept and looked up, at each scrape."""
        metrics.connections_kept.set_function(lambda: self._pool.idle_count)
        self._connector.follow_by(metrics)

    async def close(self) -> None:
        """Close the idle connections and the resolver; requests under way must have ended."""
        self._stalls.close()
        self._deadlines.close()
        self._pool.close()
        self._closer.close_all()
        await self._connector.close()

    def _peer_of(
        self, url: str, client: ClientCertificate | None, tenant_id: TenantId | None
    ) -> Peer | Refusal:
        # A certificate takes up to 128 KiB with its key, and may be replaced at any time.
        make = self._kept_peer_of if client is None else self._new_peer
        return make(url, client, tenant_id)

    def _new_peer(
        self, url: str, client: ClientCertificate | None, tenant_id: TenantId | None
    ) -> Peer | Refusal:
        target = self._judge_url(url)
        return target if isinstance(target, Refusal) else Peer(target, client, tenant_id)

    def _start(self, request: Request, peer: Peer) -> RequestUnderWay:
        timeout_seconds = request.timeout_seconds or self._timeout_seconds
        return RequestUnderWay(
            request,
            peer,
            timings=Timings(self._stalls.running_time, "answer"),
            own_faults=OwnFaults(self._stalls, self._network, timeout_seconds=timeout_seconds),
            timeout_seconds=timeout_seconds,
        )

    async def _finish(
        self, sent: RequestUnderWay, kept: HttpConnection | None, *, unproven: bool = False
    ) -> Outcome:
        result: Response | Failure
        try:
            result = await self._post(sent, kept, unproven=unproven)
        except REQUEST_ERRORS as error:
            result = self.failure(error, sent)
        return sent.outcome(result)

    async def _post(
        self, sent: RequestUnderWay, kept: HttpConnection | None, *, unproven: bool
    ) -> Response:
        deadline = Deadline(
            sent.timeout_seconds,
            stalls=self._stalls,
            budget=self._budget.of(sent.peer.tenant_id),
            began_at=sent.timings.started_at,
        )
        if kept is not None:
            _note_use(sent, kept)
            try:
                return await self._exchange(sent, kept, deadline)
            except ResponseError as error:
                if error.response_started:
                    raise
                # The receiver was just closing the idle connection, which is no failure.
        async with deadline.limit():
            connection = await self._connector.open(
                *(sent.peer, sent.timings), tried=sent.own_faults.tried, unproven=unproven
            )
        sent.timings.enter("answer")
        return await self._exchange(sent, connection, deadline)

    async def _exchange(
        self, sent: RequestUnderWay, connection: HttpConnection, deadline: Deadline
    ) -> Response:
        try:
            raw = await connection.exchange(sent.data, deadline=deadline)
        except ResponseError:
            connection.close()
            raise
        return self.received(sent, connection, raw)


def _note_use(sent: RequestUnderWay, connection: HttpConnection) -> None:
    if connection.destination is not None:
        sent.own_faults.tried.append(connection.destination)
