"""
The console of a tenant with many webhooks and deliveries, whose pages a script asks for.

A page takes from the request until its last byte, over loopback and without a browser: a little
more than what the daemon works on it.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import cycle
from uuid import UUID

import aiohttp
import asyncpg

from tests.bench.bench import Figures
from tests.bench.installation import Installation, add_webhooks
from tests.bench.paced import at
from tests.bench.sample import EVENT_DATA
from tests.bench.seeds import live_only
from tests.bench.servers import Seed
from tests.bench.sizes import Sizes
from tests.support.console_scene import SHOWN, name_of, path_of

TOKEN = "0nly-for-the-benchmark"
SETTINGS = f'[[admin.tokens]]\nname = "bench"\ntoken = "{TOKEN}"\n'
PAGES_PER_SECOND = 5.0
WEBHOOKS_PER_EVENT = 10

# The first webhook gets every event, the others each a part of them.
ADD_DELIVERIES = """
    INSERT INTO webhook_deliveries (webhook_id, event_id, event_type, payload, payload_bytes,
                                    event_created_at, attempt_number, status, attempted_at,
                                    duration_ms, status_code, response_body,
                                    error_message)
    SELECT hooks.ids[CASE WHEN place = 0 THEN 1
                          ELSE 1 + (event.number * $3 + place) % cardinality(hooks.ids) END],
           event.id, 'email.opened', $2::text::jsonb, octet_length($2::text),
           event.created_at, 1, CASE WHEN event.number % 20 = 0 THEN 'failed' ELSE 'success' END,
           event.created_at, 12, CASE WHEN event.number % 20 = 0 THEN 503 ELSE 200 END, 'OK',
           CASE WHEN event.number % 20 = 0 THEN 'The receiver answered 503.' END
      FROM (SELECT id, created_at, row_number() OVER (ORDER BY created_at) AS number
              FROM webhook_events WHERE tenant_id = $1) AS event,
           (SELECT array_agg(id ORDER BY id) AS ids FROM webhooks WHERE tenant_id = $1) AS hooks,
           generate_series(0, $3 - 1) AS place
"""
STORE_EVENTS = """
    INSERT INTO webhook_events (id, tenant_id, event_type, event_data, created_at)
    SELECT gen_random_uuid(), $1, 'email.opened', $2::text::jsonb,
           now() - n * interval '20 hours' / $3
      FROM generate_series(1, $3::int) AS n
"""
NO_EVENT_TO_SEND = "TRUNCATE webhook_event_inbox"
OBJECTS = """
    SELECT webhook.id AS webhooks, webhook.tenant_id AS tenants, delivery.id AS deliveries,
           delivery.event_id AS events
      FROM (SELECT id, tenant_id FROM webhooks WHERE endpoint_url LIKE '%/console/%'
             ORDER BY id LIMIT 1) AS webhook,
           LATERAL (SELECT id, event_id FROM webhook_deliveries WHERE webhook_id = webhook.id
                     ORDER BY attempted_at DESC LIMIT 1) AS delivery
"""


def many_deliveries(url: str, sizes: Sizes) -> Seed:
    """Return the seed of a tenant with many webhooks and finished deliveries."""

    async def seed(db: asyncpg.Connection) -> None:
        await live_only(url)(db)
        [tenant] = await add_webhooks(
            db, f"{url}/console", tenants=1, webhooks=sizes.console_webhooks
        )
        events = sizes.console_deliveries // WEBHOOKS_PER_EVENT
        await db.execute(STORE_EVENTS, tenant, EVENT_DATA, events)
        await db.execute(NO_EVENT_TO_SEND)
        await db.execute(ADD_DELIVERIES, tenant, EVENT_DATA, WEBHOOKS_PER_EVENT)
        await db.execute("VACUUM ANALYZE")

    return seed


class Visitor:
    """Opens pages one after the other, at a steady rate, whatever they take."""

    def __init__(self, session: aiohttp.ClientSession, paths: Mapping[str, str]) -> None:
        self._session = session
        self._paths = paths
        self._took_ms: dict[str, list[float]] = defaultdict(list)
        self.failed: list[str] = []

    async def open_each(self) -> None:
        """Open each page once: the first time, its template is compiled."""
        for name, path in self._paths.items():
            await self._open(name, path)
        self._took_ms.clear()

    async def run(self) -> None:
        """Ask for pages until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, path in cycle(self._paths.items()):
                group.create_task(self._open(name, path))
                await asyncio.sleep(1 / PAGES_PER_SECOND)

    async def _open(self, name: str, path: str) -> None:
        began = time.perf_counter()
        async with self._session.get(path, allow_redirects=False) as response:
            # A list that is live has no end.
            if response.content_type != "text/event-stream":
                await response.read()
        self._took_ms[name].append((time.perf_counter() - began) * 1000)
        if response.status >= 400:
            self.failed.append(f"{response.status} from {name}")

    def figures(self) -> Figures:
        """The 95th percentile of each page is printed; returns those of all and of the slowest."""
        taken = {name: sorted(each) for name, each in self._took_ms.items()}
        by_page = {name: at(each, 0.95) for name, each in taken.items()}
        for name, p95_ms in sorted(by_page.items(), key=lambda each: -each[1]):
            print(f"  {p95_ms:6.0f} ms p95 of {len(taken[name]):4} {name}", flush=True)
        every = sorted(took for each in taken.values() for took in each)
        return {
            "pages": len(every),
            "page_p95_ms": at(every, 0.95),
            "slowest_page_p95_ms": max(by_page.values()),
        }


@asynccontextmanager
async def visiting(run: Installation, db: asyncpg.Connection) -> AsyncIterator[Visitor]:
    """Have an operator open the pages of the tenant during the block."""
    port = run.daemons[0].port
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", cookie_jar=jar) as session:
        signed_in = await session.post(
            "/console/sign-in", data={"token": TOKEN}, allow_redirects=False
        )
        assert signed_in.status == 303
        visitor = Visitor(session, await _paths(session, db))
        await visitor.open_each()
        task = asyncio.create_task(visitor.run())
        try:
            yield visitor
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _paths(session: aiohttp.ClientSession, db: asyncpg.Connection) -> dict[str, str]:
    found = await db.fetchrow(OBJECTS)
    assert found is not None
    tenant = found["tenants"]
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Tenant-ID": str(tenant)}
    # Of a time before the first event: it is completed at once.
    began = {
        "webhookId": str(found["webhooks"]),
        "from": "2020-01-01T00:00:00Z",
        "to": "2020-01-02T00:00:00Z",
    }
    async with session.post("/api/replays", json=began, headers=headers) as response:
        replay = UUID((await response.json())["id"])
    objects: dict[str, UUID | str] = {**found, "replays": replay}
    # A page that only redirects to another one would make the figures look better.
    return {name_of(page): path_of(page, tenant, objects) for page in SHOWN if not page.anyone}
