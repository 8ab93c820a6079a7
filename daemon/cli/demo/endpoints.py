"""The customers' endpoints, on loopback: they verify what comes, and answer as is their habit."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson
from aiohttp import web

from daemon.cli.demo.fixtures import Customer, Endpoint
from daemon.cli.receiver.signature_check import Judgement, judge_both


@dataclass(frozen=True, slots=True)
class Visit:
    """One request as an endpoint saw it; `took_seconds` is there for an event's first."""

    endpoint: Endpoint
    event_id: str
    event_type: str
    attempt: int
    verdict: Judgement
    status: int
    took_seconds: float | None


class _Memory:
    """How often each event came to one endpoint, in the order of their first."""

    def __init__(self) -> None:
        self._tries: dict[str, int] = {}
        self._ordinals: dict[str, int] = {}

    def recall(self, event_id: str) -> tuple[int, int]:
        """Which event this is, and which try; both from 1."""
        ordinal = self._ordinals.setdefault(event_id, len(self._ordinals) + 1)
        self._tries[event_id] = self._tries.get(event_id, 0) + 1
        return ordinal, self._tries[event_id]


class Endpoints:
    """All endpoints of the cast; `seen` is called with each visit, before it is answered."""

    def __init__(self, cast: tuple[Customer, ...], seen: Callable[[Visit], None]) -> None:
        self._by_path = {each.path: each for customer in cast for each in customer.endpoints}
        self._memories = {path: _Memory() for path in self._by_path}
        self._published: dict[str, float] = {}
        self._seen = seen

    def expect(self, event_id: str) -> None:
        """The event is about to be published: from now on its latency counts."""
        self._published[event_id] = time.perf_counter()

    async def receive(self, request: web.Request) -> web.Response:
        """One request to any endpoint."""
        came_at = time.perf_counter()
        body = await request.read()
        event = orjson.loads(body)
        endpoint = self._by_path[request.path]
        ordinal, attempt = self._memories[request.path].recall(event["id"])
        headers = {name.lower(): value for name, value in request.headers.items()}
        visit = Visit(
            endpoint,
            event["id"],
            event["type"],
            attempt,
            judge_both(body, headers, [endpoint.secret], now=time.time()),
            status=endpoint.habit(ordinal, attempt),
            took_seconds=came_at - self._published[event["id"]] if attempt == 1 else None,
        )
        self._seen(visit)
        return web.Response(status=visit.status)


@asynccontextmanager
async def receiving(endpoints: Endpoints) -> AsyncIterator[int]:
    """Serve the endpoints on 127.0.0.1 until the block ends; gives the port."""
    application = web.Application()
    application.router.add_post("/{path:.*}", endpoints.receive)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
