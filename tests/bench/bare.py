"""
A process that only sends: `python -m tests.bench.bare aiohttp|sender URL COUNT [PER_SECOND]`.

Prints JSON: seconds and CPU seconds for COUNT requests like a delivery's, and the median of their
times. `aiohttp` uses a client session as aiohttp's documentation shows it, `sender` the daemon's
own client. They send as quickly as they can, or PER_SECOND.
"""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import aiohttp
import uvloop

from daemon.core.model.attempts import Claim, Request
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.core.model.secrets import Credentials, StoredSecrets
from daemon.egress.client import WebhookClient
from daemon.pipeline.attempt import signed_request
from tests.bench.sample import EGRESS, EVENT_DATA, SECRET
from tests.support.signed_headers import parsed

CONCURRENCY = 64


def request_to(url: str) -> Request:
    """Return a delivery's request, signed once."""
    no_id, now = UUID(int=0), datetime.now(UTC)
    claim = Claim(
        delivery_id=DeliveryId(no_id),
        webhook_id=WebhookId(no_id),
        tenant_id=TenantId(no_id),
        event_id=EventId(no_id),
        event_type="email.opened",
        event_created_at=now,
        data=EVENT_DATA,
        attempt=1,
        claimed_at=now,
        leased_until=now,
        endpoint_url=url,
        secrets=StoredSecrets(WebhookId(no_id), SECRET, endpoint_url=url),
    )
    request, _ = signed_request(claim, Credentials(SECRET), timestamp=0)
    return request


@dataclass(frozen=True, slots=True)
class Pace:
    """How many requests, and how many of them in a second; 0 for as many as can be."""

    count: int
    per_second: int = 0


async def measure(send: Callable[[], Awaitable[object]], pace: Pace) -> dict[str, float]:
    """Send, after a warm-up; CONCURRENCY at a time if there is no pace."""
    seconds: list[float] = []

    async def send_one() -> None:
        began = time.perf_counter()
        await send()
        seconds.append(time.perf_counter() - began)

    await asyncio.gather(*(send() for _ in range(CONCURRENCY)))
    began, cpu = time.perf_counter(), time.process_time()
    await (send_paced if pace.per_second else send_quickly)(send_one, pace)
    return {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
        "median_ms": statistics.median(seconds) * 1000,
    }


async def send_quickly(send: Callable[[], Coroutine[Any, Any, None]], pace: Pace) -> None:
    """Send CONCURRENCY at a time."""
    remaining = iter(range(pace.count))

    async def send_remaining() -> None:
        for _ in remaining:
            await send()

    await asyncio.gather(*(send_remaining() for _ in range(CONCURRENCY)))


async def send_paced(send: Callable[[], Coroutine[Any, Any, None]], pace: Pace) -> None:
    """Begin each request at its time, whether or not those before have ended."""
    began = time.perf_counter()
    async with asyncio.TaskGroup() as requests:
        for number in range(pace.count):
            await asyncio.sleep(began + number / pace.per_second - time.perf_counter())
            requests.create_task(send())


async def with_aiohttp(request: Request, pace: Pace) -> dict[str, float]:
    """Measure aiohttp's client session."""
    headers = dict(parsed(request.header_lines))
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def send() -> None:
            async with session.post(request.url, data=request.body, headers=headers) as answer:
                await answer.read()

        return await measure(send, pace)


async def with_sender(request: Request, pace: Pace) -> dict[str, float]:
    """Measure the daemon's client."""
    sender = WebhookClient(EGRESS, timeout=timedelta(seconds=5))
    try:
        return await measure(lambda: sender.send(request), pace)
    finally:
        await sender.close()


def main() -> None:
    """Run the measurement that the arguments name."""
    kind, url, *pace = sys.argv[1:]
    run = {"aiohttp": with_aiohttp, "sender": with_sender}[kind]
    print(json.dumps(uvloop.run(run(request_to(url), Pace(*map(int, pace))))))


if __name__ == "__main__":
    main()
