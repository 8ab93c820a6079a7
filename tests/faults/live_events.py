"""New events beside a replay: when they arrive, and with what delay."""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from tests.faults.environment import Environment
from tests.support.daemons import until
from tests.support.receiver import Received, Reply

PACE_SECONDS = 0.02

Delays = list[float]  # from commit to receipt, in ms


class Arrivals:
    """The first arrival and the number of requests per event; requests are not kept."""

    def __init__(self, env: Environment, *, answer_after: float) -> None:
        self.first: dict[str, float] = {}
        self.requests: Counter[str] = Counter()
        self._received = env.receiver.received
        self._reply = Reply(after=answer_after)
        env.receiver.answer = self._answer

    def _answer(self, request: Received) -> Reply:
        self._received.clear()
        event = request.headers["webhook-id"]
        self.first.setdefault(event, request.at)
        self.requests[event] += 1
        return self._reply

    def missing(self, events: Sequence[str]) -> int:
        """Count the events that never arrived."""
        return len(set(events) - self.requests.keys())

    def repeated(self) -> set[str]:
        """Return the events that arrived more than once."""
        return {event for event, count in self.requests.items() if count > 1}


class LiveEvents:
    """Publishes single events, in turn for the tenant whose events are replayed and for others."""

    def __init__(self, env: Environment, arrivals: Arrivals, replayed: UUID) -> None:
        self._env = env
        self._arrivals = arrivals
        self._replayed = replayed

    async def delays_ms(self, *, until_set: asyncio.Event, most: int) -> tuple[Delays, Delays]:
        """Publish up to `most` of each; return the delays to the same webhook and to others."""
        committed: tuple[dict[str, float], dict[str, float]] = ({}, {})
        tenants = self._env.tenants
        async with self._env.application() as app:
            for number in range(most):
                for times, tenant in zip(
                    committed, (self._replayed, tenants[number % len(tenants)]), strict=True
                ):
                    event = await app.event(tenant)
                    times[f"evt_{event.hex}"] = time.monotonic()
                    await asyncio.sleep(PACE_SECONDS)
                if until_set.is_set():
                    break
        first = self._arrivals.first
        await until(lambda: all(times.keys() <= first.keys() for times in committed))
        same, others = [
            [(first[event] - at) * 1000 for event, at in times.items()] for times in committed
        ]
        return same, others

    async def delays_alone_ms(self, count: int) -> tuple[Delays, Delays]:
        """Publish `count` of each while no replay runs."""
        return await self.delays_ms(until_set=asyncio.Event(), most=count)


def summarized(ms: Delays) -> str:
    """The median, the 95th percentile and the maximum as text."""
    return (
        f"median {statistics.median(ms):.1f} ms, p95 {quantile(ms, 0.95):.1f},"
        f" most {max(ms):.1f} ({len(ms)})"
    )


def quantile(values: Delays, share: float) -> float:
    """Return the value below which this share of them lies."""
    return sorted(values)[int((len(values) - 1) * share)]
