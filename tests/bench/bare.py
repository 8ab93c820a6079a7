"""
A process that only sends: `python -m tests.bench.bare aiohttp|sender URL COUNT`.

Prints JSON: seconds and CPU seconds for COUNT requests like a delivery's. `aiohttp` is its client
session as its documentation shows it; `sender` is the daemon's own.
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

AT_ONCE = 64


def request_to(url: str) -> Request:
    """A delivery's request, signed once."""
    nobody, now = UUID(int=0), datetime.now(UTC)
    claim = Claim(
        delivery_id=DeliveryId(nobody),
        webhook_id=WebhookId(nobody),
        tenant_id=TenantId(nobody),
        event_id=EventId(nobody),
        event_type="email.opened",
        event_created_at=now,
        data=EVENT_DATA,
        attempt=1,
        claimed_at=now,
        leased_until=now,
        endpoint_url=url,
        secrets=StoredSecrets(WebhookId(nobody), SECRET),
    )
    request, _ = signed_request(claim, Credentials(SECRET), timestamp=0)
    return request


async def drive(send: Callable[[], Awaitable[object]], count: int) -> dict[str, float]:
    """Send `count` times, AT_ONCE at a time, after a warm-up."""
    left = iter(range(count))

    async def one_after_another() -> None:
        for _ in left:
            await send()

    await asyncio.gather(*(send() for _ in range(AT_ONCE)))
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


async def with_aiohttp(request: Request, count: int) -> dict[str, float]:
    headers = dict(request.headers)
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def send() -> None:
            async with session.post(request.url, data=request.body, headers=headers) as answer:
                await answer.read()

        return await drive(send, count)


async def with_sender(request: Request, count: int) -> dict[str, float]:
    sender = WebhookClient(EGRESS, timeout=timedelta(seconds=5))
    try:
        return await drive(lambda: sender.send(request), count)
    finally:
        await sender.close()


def main() -> None:
    kind, url, count = sys.argv[1:]
    run = {"aiohttp": with_aiohttp, "sender": with_sender}[kind]
    print(json.dumps(uvloop.run(run(request_to(url), int(count)))))


if __name__ == "__main__":
    main()
