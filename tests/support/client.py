"""A WebhookClient on loopback, fake resolvers, and the outcomes of one request to a script."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Network
from typing import Any

from daemon.core.model.attempts import Failure, FailureKind, Outcome, Request, Response
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.egress.client import WebhookClient
from daemon.runtime.stalls import StallWatch
from tests.support.daemons import until
from tests.support.hostile import OK, Script, hostile, responding_with

# Names in .test are those of FakeResolver.
PUBLIC_ONLY = EgressPolicy(
    allow_http=True, allow_ports=((1, 65535),), allow_hosts=frozenset({"*.test"})
)
LOOPBACK = replace(PUBLIC_ONLY, allow_networks=(IPv4Network("127.0.0.0/8"),))
LARGE = b"x" * 5_000_000

INVALID_HTTP = Failure(FailureKind.PROTOCOL, "the receiver's response is not valid HTTP")
NO_RESPONSE = Failure(
    FailureKind.DISCONNECTED, "the receiver closed the connection without a response"
)
INCOMPLETE_RESPONSE = Failure(
    FailureKind.DISCONNECTED, "the receiver closed the connection in the middle of its response"
)
HEAD_TOO_LARGE = Failure(
    FailureKind.PROTOCOL, "the head of the receiver's response exceeds 64 KiB or 1000 headers"
)
SWITCHED_PROTOCOLS = Failure(
    FailureKind.PROTOCOL, "the receiver switched to another protocol; it must respond in HTTP/1.1"
)
NO_PUBLIC_ADDRESS = Failure(FailureKind.LOOKUP, "the host name receiver.test has no public address")
TIMED_OUT = Failure(FailureKind.TIMEOUT, "no complete response within 0.5 s")


class FakeResolver:
    """Resolves `receiver.test` to the answer given as `receiver`; `lookups` lists the names."""

    def __init__(self, **answers: Sequence[str] | Exception) -> None:
        self.answers = {f"{name}.test": answer for name, answer in answers.items()}
        self.lookups: list[str] = []

    async def addresses(self, host: str) -> list[str]:
        """Return the answer for `host`, or raise it if it is an exception."""
        self.lookups.append(host)
        answer = self.answers[host]
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    async def close(self) -> None:
        """There is nothing to close."""


class UnansweredResolver(FakeResolver):
    """A resolver whose name servers never reply; `waiting` is set by the first lookup."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = asyncio.Event()

    async def addresses(self, host: str) -> list[str]:
        """Never return."""
        self.waiting.set()
        await asyncio.Event().wait()
        return []


@asynccontextmanager
async def webhook_client(
    policy: EgressPolicy = LOOPBACK, *, seconds: float = 5.0, **options: Any
) -> AsyncIterator[WebhookClient]:
    """
    Yield a client with this timeout; `tls` is a context, or a function that makes one.

    By default, its clock hides from it that a busy machine stood still, which would postpone the
    attempt.
    """
    options.setdefault("resolver", FakeResolver())
    options.setdefault("stalls", StallWatch(clock=lambda: 0.0))
    if isinstance(context := options.get("tls"), ssl.SSLContext):
        options["tls"] = lambda: context
    client = WebhookClient(policy, timeout=timedelta(seconds=seconds), **options)
    try:
        yield client
    finally:
        await client.close()


def request_to(url: str, body: bytes = b"{}") -> Request:
    """Return a request with a JSON body."""
    return Request(url, "Content-Type: application/json\r\n", body)


async def outcome_of(script: Script, *, seconds: float = 5.0, body: bytes = b"{}") -> Outcome:
    """Return the outcome of one request to a receiver that follows the script."""
    async with webhook_client(seconds=seconds) as client, hostile(script) as receiver:
        return await client.send(request_to(receiver.url, body))


async def response_of(script: Script, *, seconds: float = 5.0) -> Response:
    """The same for an outcome that must be a response."""
    result = (await outcome_of(script, seconds=seconds)).result
    assert isinstance(result, Response), result
    return result


async def failure_of(script: Script, *, seconds: float = 5.0) -> Failure:
    """The same for an outcome that must be a failure."""
    result = (await outcome_of(script, seconds=seconds)).result
    assert isinstance(result, Failure), result
    return result


async def send_twice(script: Script) -> tuple[Outcome, Outcome, int]:
    """Send two requests one after the other; return how many connections they took as well."""
    async with webhook_client() as client, hostile(script) as receiver:
        first = await client.send(request_to(receiver.url))
        second = await client.send(request_to(receiver.url))
        return first, second, len(receiver.connections)


@asynccontextmanager
async def leak_check() -> AsyncIterator[None]:
    """Check that the block leaves no file open and no task running."""
    await outcome_of(responding_with(OK))  # opens the files that the loop itself keeps open
    files, tasks = open_files(), asyncio.all_tasks()
    yield
    await until(lambda: open_files() <= files)
    await until(lambda: asyncio.all_tasks() <= tasks)


def open_files() -> int:
    """Return how many file descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


async def send_plainly(
    client: WebhookClient, request: Request, *, otherwise: Callable[..., Awaitable[Outcome]]
) -> Outcome:
    """Send a request on a kept connection, as first attempts are; without one, do `otherwise`."""
    ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def settle(outcome: Outcome | Exception) -> None:
        if isinstance(outcome, Outcome):
            ended.set_result(outcome)
        else:
            ended.set_exception(outcome)

    kept = client.take(request.url, request.client, request.tenant_id)
    if kept is None:
        return await otherwise(client, request)
    sent = client.begin(request, kept, settle)
    try:
        return await ended
    except asyncio.CancelledError:
        sent.cancel()
        raise
