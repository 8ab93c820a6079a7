"""
Operational events on their way to deliveries: found by tenant, merged, served and removed.

The rule: an event leaves the table in the transaction that inserts the last of its deliveries. No
statement waits for a subscriber that another transaction holds: it is served later, by itself.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from daemon.core.model.ids import EventId, TenantId, WebhookId
from daemon.core.model.operational_events import OperationalEvent
from daemon.store.columns import columns
from daemon.store.delivery_ids import new_delivery_id
from daemon.store.session import Connection

FIND_TENANTS = """
    -- A loose scan: one index probe for each tenant, however many events it has.
    WITH RECURSIVE tenant AS (
        (SELECT tenant_id, 1 AS number
           FROM webhook_operational_events
          WHERE tenant_id > $2
          ORDER BY tenant_id
          LIMIT 1)
        UNION ALL
        SELECT following.tenant_id, tenant.number + 1
          FROM tenant
         CROSS JOIN LATERAL (
                SELECT tenant_id
                  FROM webhook_operational_events
                 WHERE tenant_id > tenant.tenant_id
                 ORDER BY tenant_id
                 LIMIT 1) AS following
         WHERE tenant.number < $1
    )
    SELECT tenant_id FROM tenant
"""


async def tenants(db: Connection, *, after: TenantId, limit: int) -> list[TenantId]:
    """Return the next tenants, by id, of which events are stored."""
    return [TenantId(row["tenant_id"]) for row in await db.fetch(FIND_TENANTS, limit, after)]


FIND_DUE = """
    SELECT id, event_id, tenant_id, type, data, count, created_at, served_up_to, subscriber
      FROM webhook_operational_events
     WHERE tenant_id = $1 AND due_at <= now()
       AND (NOT type::text = ANY ($3::text[])
            OR served_up_to IS NOT NULL OR subscriber IS NOT NULL)
     ORDER BY due_at
     LIMIT $2
"""


async def due(
    db: Connection, tenant_id: TenantId, *, limit: int, waiting: Sequence[str] = ()
) -> list[OperationalEvent]:
    """
    Return the tenant's next events, in the order in which they are due.

    Of the types that are `waiting`, only those that some subscribers have already.
    """
    return [_event(row) for row in await db.fetch(FIND_DUE, tenant_id, limit, waiting)]


MERGE = """
    WITH waiting AS MATERIALIZED (
        SELECT ctid AS row, id, webhook_id, type, data, count, created_at
          FROM webhook_operational_events
         WHERE tenant_id = $1 AND due_at <= now() AND type::text = $4
           AND NOT held AND served_up_to IS NULL AND subscriber IS NULL
         ORDER BY due_at
         LIMIT $2
           FOR UPDATE SKIP LOCKED
    ), removed AS (
        DELETE FROM webhook_operational_events
         WHERE ctid = ANY (ARRAY(SELECT row FROM waiting))
    ), merged AS MATERIALIZED (
        -- It reports the latest, and how many there were.
        SELECT webhook_id, type, (pg_catalog.array_agg(data ORDER BY id DESC))[1] AS data,
               sum(count)::int AS count, max(created_at) AS created_at
          FROM waiting
         GROUP BY webhook_id, type
    ), held AS (
        INSERT INTO webhook_operational_events AS e
               (tenant_id, webhook_id, type, data, count, created_at, held, due_at)
        SELECT $1, webhook_id, type, data, count, created_at, true, now() + $3::interval
          FROM merged
         ORDER BY webhook_id, type
            ON CONFLICT (tenant_id, webhook_id, type) WHERE held
            DO UPDATE SET count = e.count + excluded.count, data = excluded.data,
                          created_at = excluded.created_at
    )
    SELECT count(*) FROM waiting
"""


async def merge(
    db: Connection, tenant_id: TenantId, event_type: str, *, limit: int, due_in: timedelta
) -> int:
    """
    Merge waiting events of this type by webhook, into events that are due later.

    Returns how many were merged; if that is `limit`, there may be more.
    """
    return int(await db.fetchval(MERGE, tenant_id, limit, due_in, event_type))


LOCK_EVENTS = """
    SELECT id, count, served_up_to
      FROM webhook_operational_events
     WHERE id = ANY ($1::bigint[])
     ORDER BY id
       FOR UPDATE SKIP LOCKED
"""


async def lock(db: Connection, events: Sequence[OperationalEvent]) -> list[OperationalEvent]:
    """
    Lock those of the events that are as they were read.

    Another daemon may have served others, or merged more into them.
    """
    rows = await db.fetch(LOCK_EVENTS, [each.number for each in events])
    found = {(row["id"], row["count"], row["served_up_to"]) for row in rows}
    return [each for each in events if (each.number, each.count, each.served_up_to) in found]


LOCK_SUBSCRIBERS = """
    -- An insert for another one would wait for the transaction that holds it.
    SELECT id FROM webhooks WHERE id = ANY ($1::uuid[]) AND is_active
       FOR KEY SHARE SKIP LOCKED
"""
FIND_ACTIVE = "SELECT id FROM webhooks WHERE id = ANY ($1::uuid[]) AND is_active"
INSERT_DELIVERIES = """
    WITH made AS MATERIALIZED (
        SELECT new.id, new.webhook_id, e.event_id, e.type, e.created_at,
               e.data || pg_catalog.jsonb_build_object('count'::text, e.count) AS data
          FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS new (id, webhook_id, number)
         -- LIMIT: a join might read all events.
         CROSS JOIN LATERAL (
                SELECT * FROM webhook_operational_events WHERE id = new.number LIMIT 1) AS e
    )
    INSERT INTO webhook_deliveries (id, webhook_id, event_id, event_type, payload, event_created_at)
    SELECT id, webhook_id, event_id, type, data, created_at FROM made
"""
PUT_BACK = """
    WITH locked AS MATERIALIZED (
        SELECT e.*, pair.webhook_id AS locked_id
          FROM unnest($1::uuid[], $2::bigint[]) AS pair (webhook_id, number)
         CROSS JOIN LATERAL (
                SELECT * FROM webhook_operational_events WHERE id = pair.number LIMIT 1) AS e
         WHERE e.created_at > now() - interval '1 day'
    )
    INSERT INTO webhook_operational_events
           (event_id, tenant_id, webhook_id, type, data, count, created_at, due_at, subscriber)
    SELECT event_id, tenant_id, webhook_id, type, data, count, created_at,
           -- Tried again at intervals that grow with its age.
           now() + greatest(interval '500 milliseconds',
                            least(interval '30 seconds', (now() - created_at) / 2::float8)),
           locked_id
      FROM locked
"""


async def insert(
    db: Connection, wanted: Sequence[tuple[OperationalEvent, WebhookId]]
) -> list[WebhookId]:
    """
    Insert a delivery of each event to its subscriber, due now; `lock` has locked the events.

    Returns the subscribers that got any. Those that other transactions hold are put back, each as
    an event of its own, for a day; those that are paused or gone get none.
    """
    ids = list({webhook_id for _, webhook_id in wanted})
    free = {row["id"] for row in await db.fetch(LOCK_SUBSCRIBERS, ids)}
    if rest := [each for each in ids if each not in free]:
        held = {row["id"] for row in await db.fetch(FIND_ACTIVE, rest)}
        if pairs := [(each, event.number) for event, each in wanted if each in held]:
            await db.execute(PUT_BACK, *columns(pairs))
    rows = [(new_delivery_id(), each, event.number) for event, each in wanted if each in free]
    if rows:
        await db.execute(INSERT_DELIVERIES, *columns(rows))
    return [each for each in ids if each in free]


REMOVE = "DELETE FROM webhook_operational_events WHERE id = ANY ($1::bigint[])"
NOTE_SERVED = (
    "UPDATE webhook_operational_events SET served_up_to = $2 WHERE id = ANY ($1::bigint[])"
)


async def end(
    db: Connection, events: Sequence[OperationalEvent], *, served_up_to: WebhookId | None
) -> None:
    """Remove events that are served; with `served_up_to`, only note how far they are."""
    numbers = [each.number for each in events]
    if served_up_to is None:
        await db.execute(REMOVE, numbers)
    else:
        await db.execute(NOTE_SERVED, numbers, served_up_to)


GIVE_UP = """
    DELETE FROM webhook_operational_events
     WHERE id = ANY ($1::bigint[]) AND created_at < now() - interval '1 day'
"""
PUT_OFF = """
    UPDATE webhook_operational_events SET due_at = now() + $2::interval
     WHERE id = ANY (ARRAY(SELECT id FROM webhook_operational_events
                            WHERE id = ANY ($1::bigint[])
                              FOR UPDATE SKIP LOCKED))
"""


async def put_off(db: Connection, events: Sequence[OperationalEvent], *, wait: timedelta) -> None:
    """
    Make events due later that could not be served, so that they stop no others.

    They are given up after a day.
    """
    await db.execute(GIVE_UP, [each.number for each in events])
    await db.execute(PUT_OFF, [each.number for each in events], wait)


def _event(row: Any) -> OperationalEvent:
    subscriber, served_up_to = row["subscriber"], row["served_up_to"]
    return OperationalEvent(
        number=row["id"],
        id=EventId(row["event_id"]),
        tenant_id=TenantId(row["tenant_id"]),
        type=row["type"],
        data=row["data"],
        count=row["count"],
        created_at=row["created_at"],
        served_up_to=None if served_up_to is None else WebhookId(served_up_to),
        subscriber=None if subscriber is None else WebhookId(subscriber),
    )
