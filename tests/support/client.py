"""A sender on loopback, for tests: one request to a script, and what came of it."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import IPv4Network
from typing import Any

from daemon.core.model.attempts import Failure, FailureKind, Outcome, Request, Response
from daemon.core.policy.urls import EgressPolicy
from daemon.egress.client import WebhookClient
from tests.support.daemons import until
from tests.support.hostile import OK, Script, hostile, saying

LOOPBACK = EgressPolicy(
    allow_http=True, allow_networks=(IPv4Network("127.0.0.0/8"),), allow_ports=((1, 65535),)
)
NOBODY = EgressPolicy(allow_http=True, allow_ports=((1, 65535),))
LARGE = b"x" * 5_000_000


class Names:
    """A resolver of our own: it knows `answers`, and keeps in `asked` what it was asked for."""

    def __init__(self, **answers: Sequence[str] | Exception) -> None:
        self.answers = {f"{name}.test": answer for name, answer in answers.items()}
        self.asked: list[str] = []

    async def addresses(self, host: str) -> list[str]:
        self.asked.append(host)
        answer = self.answers[host]
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    async def close(self) -> None:
        """Nothing is held."""


@asynccontextmanager
async def sending(
    policy: EgressPolicy = LOOPBACK, *, seconds: float = 5.0, **parts: Any
) -> AsyncIterator[WebhookClient]:
    """`tls` is a context, or what makes one."""
    parts = {"resolver": Names()} | parts
    if isinstance(context := parts.get("tls"), ssl.SSLContext):
        parts["tls"] = lambda: context
    sender = WebhookClient(policy, timeout=timedelta(seconds=seconds), **parts)
    try:
        yield sender
    finally:
        await sender.close()


def to(url: str, body: bytes = b"{}") -> Request:
    return Request(url, (("Content-Type", "application/json"),), body)


async def outcome_of(script: Script, *, seconds: float = 5.0, body: bytes = b"{}") -> Outcome:
    async with sending(seconds=seconds) as sender, hostile(script) as receiver:
        return await sender.send(to(receiver.url, body))


async def answer_of(script: Script, *, seconds: float = 5.0) -> Response:
    result = (await outcome_of(script, seconds=seconds)).result
    assert isinstance(result, Response), result
    return result


async def failure_of(script: Script, *, seconds: float = 5.0) -> Failure:
    result = (await outcome_of(script, seconds=seconds)).result
    assert isinstance(result, Failure), result
    return result


async def twice(script: Script) -> tuple[Outcome, Outcome, int]:
    """Two requests, one after the other, and how many connections they took."""
    async with sending() as sender, hostile(script) as receiver:
        first = await sender.send(to(receiver.url))
        second = await sender.send(to(receiver.url))
        return first, second, len(receiver.visits)


NOT_HTTP = Failure(FailureKind.PROTOCOL, "the receiver's response is not valid HTTP")
NO_ANSWER = Failure(
    FailureKind.DISCONNECTED, "the receiver closed the connection without a response"
)
CUT_OFF = Failure(
    FailureKind.DISCONNECTED, "the receiver closed the connection in the middle of its response"
)
ENDLESS_HEAD = Failure(
    FailureKind.PROTOCOL, "the head of the receiver's response exceeds 64 KiB or 1000 headers"
)
SWITCHED = Failure(
    FailureKind.PROTOCOL, "the receiver switched to another protocol; it must respond in HTTP/1.1"
)
TOO_LATE = Failure(FailureKind.TIMEOUT, "no complete response within 0.5 s")


class Unanswered(Names):
    """A resolver whose servers are all gone."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = asyncio.Event()

    async def addresses(self, host: str) -> list[str]:
        self.waiting.set()
        await asyncio.Event().wait()
        return []


@asynccontextmanager
async def leaving_nothing() -> AsyncIterator[None]:
    """The block must leave no file open and no task running."""
    await outcome_of(saying(OK))  # what the loop opens for itself at the first connection
    files, tasks = open_files(), asyncio.all_tasks()
    yield
    await until(lambda: open_files() <= files)
    await until(lambda: asyncio.all_tasks() <= tasks)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))
