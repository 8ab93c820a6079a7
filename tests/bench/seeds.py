"""
The rows that are there before live events are measured: tenants, webhooks, pending deliveries.

Rows are inserted as any application inserts them, with the columns that the daemon's own have.
"""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from tests.bench.installation import add_webhooks
from tests.bench.sample import EVENT_DATA
from tests.bench.servers import Seed
from tests.bench.sizes import Sizes

LIVE_TENANTS = 65
STORM_TENANTS = 100
HANGING_TENANTS = 30
PAUSED_TENANTS, SLOW_TENANTS, LATER_TENANTS = 10, 1, 89
PENDING_TENANTS = PAUSED_TENANTS + SLOW_TENANTS + LATER_TENANTS
NOW, LATER = "0 s", "1 day"

ADD_PENDING = """
    INSERT INTO webhook_deliveries (webhook_id, event_id, event_type, payload, payload_bytes,
                                    event_created_at, attempt_number, status, next_retry_at)
    SELECT webhook.id, gen_random_uuid(), 'email.opened', $2::text::jsonb, octet_length($2::text),
           now(), 2, 'pending_retry', now() + $3::text::interval
      FROM generate_series(1, $4::int),
           (SELECT id FROM webhooks WHERE tenant_id = ANY ($1::uuid[])) AS webhook
"""
PAUSE = "UPDATE webhooks SET is_active = false WHERE tenant_id = ANY ($1::uuid[])"
STORE_EVENTS = """
    INSERT INTO webhook_events (id, tenant_id, event_type, event_data, created_at)
    SELECT gen_random_uuid(), $1, 'email.opened', $2::text::jsonb,
           now() - interval '1 day' + n * interval '10 ms'
      FROM generate_series(1, $3::int) AS n
"""
LEAVE_NO_EVENT_TO_SEND = "TRUNCATE webhook_event_inbox"
TENANTS = """
    SELECT array_agg(tenant_id ORDER BY endpoint_url) FROM webhooks WHERE endpoint_url LIKE $1
"""


def live_only(url: str) -> Seed:
    """Return the seed of tenants with an endpoint each, for which live events are published."""

    async def seed(db: asyncpg.Connection) -> None:
        await add_webhooks(db, f"{url}/live", tenants=LIVE_TENANTS)

    return seed


def million_pending(url: str, sizes: Sizes) -> Seed:
    """Return the seed of pending deliveries: 60 % due later, 30 % paused, 10 % of slow ones."""
    webhooks = sizes.pending_endpoints // PENDING_TENANTS

    def each(share: float, tenants: int) -> int:
        return round(sizes.pending * share / tenants / webhooks)

    async def seed(db: asyncpg.Connection) -> None:
        await live_only(url)(db)
        later = await add_webhooks(db, f"{url}/later", tenants=LATER_TENANTS, webhooks=webhooks)
        await add_pending(db, later, each(0.6, LATER_TENANTS), due_in=LATER)
        slow = await add_webhooks(db, f"{url}/slow", tenants=SLOW_TENANTS, webhooks=webhooks)
        await add_pending(db, slow, each(0.1, SLOW_TENANTS), due_in=NOW)
        paused = await add_webhooks(db, f"{url}/paused", tenants=PAUSED_TENANTS, webhooks=webhooks)
        await add_pending(db, paused, each(0.3, PAUSED_TENANTS), due_in=NOW)
        await db.execute(PAUSE, paused)

    return seed


def hostile(url: str, sizes: Sizes) -> Seed:
    """Return the seed of endpoints that hang, and of one that has a backlog."""

    async def seed(db: asyncpg.Connection) -> None:
        await live_only(url)(db)
        await add_webhooks(db, f"{url}/hang", tenants=HANGING_TENANTS)
        await add_pending(
            db, await add_webhooks(db, f"{url}/due", tenants=1), sizes.due, due_in=NOW
        )

    return seed


def retry_storm(url: str, sizes: Sizes) -> Seed:
    """Return the seed of deliveries that are due at one time: see `scenes.storm_rises`."""

    async def seed(db: asyncpg.Connection) -> None:
        await live_only(url)(db)
        tenants = await add_webhooks(db, f"{url}/storm", tenants=STORM_TENANTS)
        await add_pending(db, tenants, sizes.storm // STORM_TENANTS, due_in=LATER)

    return seed


def stored_events(url: str, sizes: Sizes) -> Seed:
    """Return the seed of events of one tenant that were published long ago."""

    async def seed(db: asyncpg.Connection) -> None:
        await live_only(url)(db)
        [tenant] = await add_webhooks(db, f"{url}/replay", tenants=1)
        await db.execute(STORE_EVENTS, tenant, EVENT_DATA, sizes.replay)
        await db.execute(LEAVE_NO_EVENT_TO_SEND)

    return seed


def churned(url: str) -> Seed:
    """Return the seed of the tenants whose events leave dead rows behind."""

    async def seed(db: asyncpg.Connection) -> None:
        await live_only(url)(db)
        await add_webhooks(db, f"{url}/churn", tenants=LIVE_TENANTS)

    return seed


async def add_pending(
    db: asyncpg.Connection, tenants: Sequence[UUID], each: int, *, due_in: str
) -> None:
    """Add `each` pending second attempts for every webhook of the tenants."""
    await db.execute(ADD_PENDING, tenants, EVENT_DATA, due_in, each)


async def tenants_of(db: asyncpg.Connection, kind: str) -> list[UUID]:
    """Return the tenants whose endpoints are of this kind."""
    found: list[UUID] | None = await db.fetchval(TENANTS, f"%/{kind}/%")
    return found or []
