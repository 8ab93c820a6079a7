"""
A tenant with many webhooks and deliveries: the console's pages about it, and the API's questions.

A page takes from the request until its last byte, over loopback and without a browser: a little
more than what the daemon works on it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

import aiohttp
import asyncpg

from tests.bench.installation import Installation, add_webhooks
from tests.bench.sample import EVENT_DATA
from tests.bench.seeds import live_only
from tests.bench.servers import Seed
from tests.bench.sizes import Sizes
from tests.bench.visitor import Ask, Visitor
from tests.support.console_scene import SHOWN, name_of, path_of

TOKEN = "0nly-for-the-benchmark"
SETTINGS = f'[[admin.tokens]]\nname = "bench"\ntoken = "{TOKEN}"\n'
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
        async with _running(Visitor(session, await _pages(session, db))) as visitor:
            yield visitor


@asynccontextmanager
async def questioning(run: Installation, db: asyncpg.Connection) -> AsyncIterator[Visitor]:
    """Have a program ask the API about what became of the tenant's events, during the block."""
    found = await db.fetchrow(OBJECTS)
    assert found is not None
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Tenant-ID": str(found["tenants"])}
    origin = f"http://127.0.0.1:{run.daemons[0].port}"
    async with (
        aiohttp.ClientSession(origin, headers=headers) as session,
        _running(Visitor(session, _questions(found))) as visitor,
    ):
        yield visitor


def _questions(found: asyncpg.Record) -> dict[str, Ask]:
    webhook, event = found["webhooks"], found["events"]
    hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    of_webhook = f"/api/webhooks/{webhook}"
    paths = {
        "an event's way to a webhook": f"{of_webhook}/explain?eventId={event}",
        "an event's way to all": f"/api/events/{event}/outcomes",
        "what a webhook did not get": f"{of_webhook}/undelivered",
        "what it did not get for an hour": f"{of_webhook}/undelivered?from={hour_ago}",
        "its deliveries": f"{of_webhook}/deliveries",
        "its failed deliveries": f"{of_webhook}/deliveries?status=failed",
        "its deliveries of an event": f"{of_webhook}/deliveries?eventId={event}",
        "its numbers": f"{of_webhook}/stats",
        "its pauses": f"{of_webhook}/pauses",
        "failed deliveries of all": "/api/deliveries?status=failed",
        "deliveries with a status code": "/api/deliveries?statusCode=503",
        "deliveries with an error that none has": "/api/deliveries?error=nowhere",
        "events of a contact that none has": "/api/events?contact=nowhere",
        "fields of events": "/api/events/fields",
        "facets of events": "/api/events/facets",
        "webhooks in trouble": "/api/webhooks?sort=trouble&include=hourly",
    }
    preview = {"eventFilters": {"filters": {"email_id": "nowhere"}}}
    return {name: Ask("GET", path) for name, path in paths.items()} | {
        "a filter's preview": Ask("POST", "/api/filters/preview", preview)
    }


@asynccontextmanager
async def _running(visitor: Visitor) -> AsyncIterator[Visitor]:
    await visitor.ask_each()
    task = asyncio.create_task(visitor.run())
    try:
        yield visitor
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _pages(session: aiohttp.ClientSession, db: asyncpg.Connection) -> dict[str, Ask]:
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
    return {
        name_of(page): Ask("GET", path_of(page, tenant, objects))
        for page in SHOWN
        if not page.anyone
    }
