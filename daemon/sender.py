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
from datetime import timedelta
from functools import lru_cache

from daemon.connections import (
    CaresResolver,
    Connections,
    LookupFailedError,
    RefusedTargetError,
    Resolver,
)
from daemon.exchange import Connection, ExchangeError, RawAnswer
from daemon.model import Answer, Failure, Fault, Outcome, Request
from daemon.targets import EgressPolicy, Refusal, Target, judge_url

HEADERS_KEPT = 100
DECODER = codecs.getincrementaldecoder("utf-8")
HEADER_VALUE_KEPT = 2048

# What says that this machine is short of something: our own fault, and charged to nobody.
OUR_OWN_SHORTAGE = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
)


class Sender:
    """All requests of one daemon; make it inside the running loop, and close it there."""

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        timeout: timedelta,
        resolver: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = timeout.total_seconds()
        self._judge = lru_cache(maxsize=4096)(lambda url: judge_url(url, policy))
        self._connections = Connections(
            policy,
            resolver=resolver or CaresResolver(),
            tls=tls or verifying_context(),
        )

    async def send(self, request: Request) -> Outcome:
        """
        One POST. Cancelling it closes its connection; nothing else is left behind.

        Raises OSError when this machine is out of sockets, ports or memory.
        """
        began = self._loop.time()
        result = await self._attempt(request, began + self._seconds)
        return Outcome(result, took_ms=round((self._loop.time() - began) * 1000))

    async def close(self) -> None:
        await self._connections.close()

    async def _attempt(self, request: Request, deadline: float) -> Answer | Failure:
        target = self._judge(request.url)
        if isinstance(target, Refusal):
            return Failure(Fault.REFUSED_TARGET, target.reason)
        try:
            return await self._post(target, wire_of(target, request), deadline)
        except TimeoutError:
            return Failure(Fault.TIMEOUT, f"no complete answer within {self._seconds:g} s")

    async def _post(self, target: Target, wire: bytes, deadline: float) -> Answer | Failure:
        kept = self._connections.take_idle(target)
        if kept is not None:
            try:
                return await self._ask(target, kept, wire, deadline)
            except ExchangeError as error:
                if error.heard:
                    return _failure_of(error)
                # The receiver was just closing a kept connection: that is not its failure.
        try:
            async with asyncio.timeout_at(deadline):
                fresh = await self._connections.open(target)
        except TimeoutError:
            raise  # the deadline's; as an OSError it would be taken for the network's below
        except (RefusedTargetError, LookupFailedError, OSError) as error:
            if getattr(error, "errno", None) in OUR_OWN_SHORTAGE:
                raise
            return _failure_to_open(error, target)
        try:
            return await self._ask(target, fresh, wire, deadline)
        except ExchangeError as error:
            return _failure_of(error)

    async def _ask(
        self, target: Target, connection: Connection, wire: bytes, deadline: float
    ) -> Answer:
        try:
            raw = await connection.ask(wire, deadline=deadline)
        except ExchangeError:
            connection.close()
            raise
        if raw.reusable and 200 <= raw.status < 300:
            self._connections.give_back(target, connection)
        else:
            connection.close()  # an endpoint in trouble gets a new connection the next time
        return answer_of(raw)


def wire_of(target: Target, request: Request) -> bytes:
    """The request's bytes; header names and values have been judged before they came here."""
    headers = "".join([f"{name}: {value}\r\n" for name, value in request.headers])
    head = (
        f"POST {target.path} HTTP/1.1\r\nHost: {target.host_header}\r\nAccept: */*\r\n"
        f"Accept-Encoding: identity\r\nContent-Length: {len(request.body)}\r\n{headers}\r\n"
    )
    return head.encode("latin-1") + request.body


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


def verifying_context() -> ssl.SSLContext:
    """TLS 1.2 or newer, the system's authorities, names checked."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _failure_of(error: ExchangeError) -> Failure:
    return Failure(Fault.PROTOCOL if error.broken else Fault.DISCONNECTED, str(error))


def _failure_to_open(error: Exception, target: Target) -> Failure:
    match error:
        case RefusedTargetError():
            return Failure(Fault.REFUSED_TARGET, str(error))
        case LookupFailedError():
            return Failure(Fault.LOOKUP, f"the name {target.host} could not be looked up: {error}")
        case ssl.SSLCertVerificationError():
            return Failure(Fault.TLS, f"the TLS certificate is not valid: {error.verify_message}")
        case ssl.SSLError():
            reason = (error.reason or "no reason given").replace("_", " ").lower()
            return Failure(Fault.TLS, f"the TLS handshake failed: {reason}")
        case ConnectionResetError() | ConnectionAbortedError() | BrokenPipeError() if target.tls:
            return Failure(Fault.TLS, "the connection was closed during the TLS handshake")
        case _:
            return Failure(Fault.CONNECT, f"could not connect: {_reason(error)}")


def _reason(error: Exception) -> str:
    """The network's reason without the addresses that exception texts are full of."""
    number = getattr(error, "errno", None)
    return os.strerror(number).lower() if number else "every address failed"
