"""
A process that only sends: `python -m tests.bench.bare aiohttp|sender URL COUNT`.

Prints JSON: seconds and CPU seconds for COUNT requests like a delivery's. `aiohttp` uses a client
session as aiohttp's documentation shows it, `sender` the daemon's own client.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
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


async def measure(send: Callable[[], Awaitable[object]], count: int) -> dict[str, float]:
    """Send `count` times, CONCURRENCY at a time, after a warm-up."""
    remaining = iter(range(count))

    async def send_remaining() -> None:
        for _ in remaining:
            await send()

    await asyncio.gather(*(send() for _ in range(CONCURRENCY)))
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(send_remaining() for _ in range(CONCURRENCY)))
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


async def with_aiohttp(request: Request, count: int) -> dict[str, float]:
    """Measure aiohttp's client session."""
    headers = dict(parsed(request.header_lines))
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def send() -> None:
            async with session.post(request.url, data=request.body, headers=headers) as answer:
                await answer.read()

        return await measure(send, count)


async def with_sender(request: Request, count: int) -> dict[str, float]:
    """Measure the daemon's client."""
    sender = WebhookClient(EGRESS, timeout=timedelta(seconds=5))
    try:
        return await measure(lambda: sender.send(request), count)
    finally:
        await sender.close()


def main() -> None:
    """Run the measurement that the arguments name."""
    kind, url, count = sys.argv[1:]
    run = {"aiohttp": with_aiohttp, "sender": with_sender}[kind]
    print(json.dumps(uvloop.run(run(request_to(url), int(count)))))


if __name__ == "__main__":
    main()
