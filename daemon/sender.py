"""
The narrow door to the outside: one guarded POST, and what came of it.

`send` never raises for what an endpoint does; it returns an `Outcome`. Nobody else in the house
knows how a request is made. The five seconds of the contract are one deadline over all of it.
"""

import asyncio
import codecs
import errno
import os
import ssl
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache

from daemon.connections import (
    CaresResolver,
    Connections,
    LookupFailedError,
    Peer,
    RefusedTargetError,
    Resolver,
    UnreachableError,
)
from daemon.core.errors import PostponedError
from daemon.core.model.attempts import Answer, Failure, Fault, Outcome, Request, Trace
from daemon.core.model.secrets import HIDDEN
from daemon.core.policy.refusal import Refusal
from daemon.core.policy.urls import EgressPolicy, Target, judge_url
from daemon.exchange import Connection, ExchangeError, RawAnswer
from daemon.proxy import Proxy
from daemon.secured import CostlyHandshakeError
from daemon.stopwatch import Stopwatch
from daemon.tls import TlsContexts, UnusableCertificateError, verifying_context

HEADERS_KEPT = 100
DECODER = codecs.getincrementaldecoder("utf-8")
HEADER_VALUE_KEPT = 2048

# What says that this machine is short of something: our own fault, and charged to nobody.
OUR_OWN_SHORTAGE = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
)

OPENING_FAILED = (
    RefusedTargetError,
    UnusableCertificateError,
    LookupFailedError,
    UnreachableError,
    OSError,
)


class Sender:
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
        self._connections = Connections(
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
        watch = Stopwatch(self._loop.time)
        target = self._judge(request.url)
        if isinstance(target, Refusal):
            return Outcome(Failure(Fault.REFUSED_TARGET, target.reason), took_ms=0)
        result = await self._attempt(target, request, watch)
        head = head_of(target, request, open_to_all=True)
        return Outcome(result, watch.total_ms(), Trace(head, watch.stages_ms()))

    async def close(self) -> None:
        await self._connections.close()

    async def _attempt(
        self, target: Target, request: Request, watch: Stopwatch
    ) -> Answer | Failure:
        peer, wire = Peer(target, request.client), wire_of(target, request)
        try:
            return await self._post(peer, wire, watch, watch.began + self._seconds)
        except TimeoutError:
            return Failure(Fault.TIMEOUT, f"no complete answer within {self._seconds:g} s")

    async def _post(
        self, peer: Peer, wire: bytes, watch: Stopwatch, deadline: float
    ) -> Answer | Failure:
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
    ) -> Answer:
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


def wire_of(target: Target, request: Request) -> bytes:
    """The request's bytes; header names and values have been judged before they came here."""
    return head_of(target, request).encode("latin-1") + request.body


def head_of(target: Target, request: Request, *, open_to_all: bool = False) -> str:
    """Request line and headers, as sent; what is secret in them is hidden if `open_to_all`."""
    lines = [f"{name}: {value}\r\n" for name, value in request.headers]
    for name, value in request.private_headers:
        lines.append(f"{name}: {HIDDEN if open_to_all else value}\r\n")
    path = target.path
    if open_to_all and "?" in path:
        path = f"{path.partition('?')[0]}?…"
    return (
        f"POST {path} HTTP/1.1\r\nHost: {target.host_header}\r\nAccept: */*\r\n"
        f"Accept-Encoding: identity\r\nContent-Length: {len(request.body)}\r\n"
        f"{''.join(lines)}\r\n"
    )


def answer_of(raw: RawAnswer) -> Answer:
    """The answer as text that PostgreSQL can store whatever the receiver sent."""
    decoder = DECODER("replace")
    return Answer(
        status=raw.status,
        headers=tuple(
            (clean(name.lower()), clean(value)[:HEADER_VALUE_KEPT])
            for name, value in raw.headers[:HEADERS_KEPT]
        ),
        body=decoder.decode(raw.body, final=not raw.truncated).replace("\x00", "\ufffd"),
        truncated=raw.truncated,
    )


def clean(text: bytes) -> str:
    """Bytes of a head as text without NUL or surrogates; what is no UTF-8 is read as Latin-1."""
    try:
        return text.decode("utf-8").replace("\x00", "\ufffd")
    except UnicodeDecodeError:
        return text.decode("latin-1").replace("\x00", "\ufffd")


def _failure_of(error: ExchangeError) -> Failure:
    return Failure(Fault.PROTOCOL if error.broken else Fault.DISCONNECTED, str(error))


def _failure_to_open(error: Exception, target: Target) -> Failure:
    """What the customer is told. Raises PostponedError for a shortage of our own."""
    match error:
        case RefusedTargetError():
            return Failure(Fault.REFUSED_TARGET, str(error))
        case UnusableCertificateError():
            return Failure(Fault.UNUSABLE, str(error))
        case LookupFailedError():
            return Failure(Fault.LOOKUP, f"the name {target.host} could not be looked up: {error}")
        case UnreachableError():
            return Failure(Fault.CONNECT, f"could not connect: {error}")
        case ssl.SSLCertVerificationError():
            return Failure(Fault.TLS, f"the TLS certificate is not valid: {error.verify_message}")
        case ssl.SSLError():
            reason = (error.reason or "no reason given").replace("_", " ").lower()
            return Failure(Fault.TLS, f"the TLS handshake failed: {reason}")
        case OSError() if error.errno in OUR_OWN_SHORTAGE:
            raise PostponedError(f"this machine is short: {_reason(error)}") from error
        case CostlyHandshakeError():
            return Failure(Fault.TLS, f"the TLS handshake failed: {error}")
        case ConnectionResetError() | ConnectionAbortedError() | BrokenPipeError() if target.tls:
            return Failure(Fault.TLS, "the connection was closed during the TLS handshake")
        case _:
            return Failure(Fault.CONNECT, f"could not connect: {_reason(error)}")


def _reason(error: Exception) -> str:
    """The network's reason without the addresses that exception texts are full of."""
    number = getattr(error, "errno", None)
    return os.strerror(number).lower() if number else "every address failed"
