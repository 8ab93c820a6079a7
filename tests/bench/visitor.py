"""A client that asks for one thing after the other, and measures how long each takes."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle

import aiohttp

from tests.bench.bench import Figures
from tests.bench.paced import at

PER_SECOND = 5.0


@dataclass(frozen=True, slots=True)
class Ask:
    """One request; `body` is sent as JSON, if there is one."""

    method: str
    path: str
    body: object | None = None


class Visitor:
    """Asks at a steady rate, however long the answers take."""

    def __init__(self, session: aiohttp.ClientSession, asks: Mapping[str, Ask]) -> None:
        self._session = session
        self._asks = asks
        self._took_ms: dict[str, list[float]] = defaultdict(list)
        self.failed: list[str] = []

    async def ask_each(self) -> None:
        """Ask each once: the first time, templates are compiled and statements are planned."""
        for name, ask in self._asks.items():
            await self._ask(name, ask)
        self._took_ms.clear()

    async def run(self) -> None:
        """Ask until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, ask in cycle(self._asks.items()):
                group.create_task(self._ask(name, ask))
                await asyncio.sleep(1 / PER_SECOND)

    async def _ask(self, name: str, ask: Ask) -> None:
        began = time.perf_counter()
        async with self._session.request(
            ask.method, ask.path, json=ask.body, allow_redirects=False
        ) as response:
            # A list that is live has no end.
            if response.content_type != "text/event-stream":
                await response.read()
        self._took_ms[name].append((time.perf_counter() - began) * 1000)
        if response.status >= 400:
            self.failed.append(f"{response.status} from {name}")
            print(f"  {self.failed[-1]}", flush=True)

    def figures(self) -> Figures:
        """Print the 95th percentile of each; return those of all and of the slowest."""
        taken = {name: sorted(each) for name, each in self._took_ms.items()}
        slowest = {name: at(each, 0.95) for name, each in taken.items()}
        for name, p95_ms in sorted(slowest.items(), key=lambda each: -each[1]):
            print(f"  {p95_ms:6.0f} ms p95 of {len(taken[name]):4} {name}", flush=True)
        every = sorted(took for each in taken.values() for took in each)
        return {
            "pages": len(every),
            "page_p95_ms": at(every, 0.95),
            "slowest_page_p95_ms": max(slowest.values()),
        }
