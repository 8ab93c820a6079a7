"""
Webhooks as fan-out reads them: which of them subscribe to which events.

The rule: the application's events go to webhooks of the scope `events`. Those of another one, and
those of none that there is, are not found here.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from daemon.core.model.events import Subscription
from daemon.core.model.ids import TenantId, WebhookId
from daemon.store.session import Connection
from daemon.store.webhook_columns import event_types, filter_error, filters_text, reading_bytes
from daemon.store.webhook_rows import webhook

SUBSCRIPTION = f"""
           w.id, w.tenant_id, {filter_error("w")}, w.is_active, w.paused_at, w.takes_long,
           {event_types("w")},
           {filters_text("w")}"""
COLUMNS = """
                                   id, tenant_id, filter_error, is_active, paused_at, event_types,
                                   event_filters"""
# The most memory of a tenant's subscriptions that are read beside others', and of those that are
# read alone.
BESIDE_OTHERS = 64 * 1024
ALONE = 2**62


def _bounded(webhooks: str, most_bytes: str) -> str:
    """SQL: these rows; nothing large is read if together they may take more than `most_bytes`."""
    return f"""
            SELECT id, tenant_id, filter_error, is_active, paused_at,
                   bytes > {most_bytes}::bigint AS takes_long,
                   CASE WHEN bytes <= {most_bytes}::bigint THEN event_types END AS event_types,
                   CASE WHEN bytes <= {most_bytes}::bigint THEN event_filters END AS event_filters
              FROM (SELECT few.*, (sum({reading_bytes("few")}) OVER ())::bigint AS bytes
                      FROM ({webhooks}) AS few) AS measured"""  # noqa: S608  constants only


ACTIVE = f"""SELECT {COLUMNS}
                              FROM webhooks
                             WHERE tenant_id = tenant.id AND is_active
                               AND scope::text = 'events'
                             LIMIT $2"""  # noqa: S608  COLUMNS is a constant
BOUNDED_ACTIVE = _bounded(ACTIVE, "$3")
FIND_ACTIVE = f"""
    SELECT {SUBSCRIPTION}
      FROM pg_catalog.unnest($1::uuid[]) AS tenant (id)
     CROSS JOIN LATERAL ({BOUNDED_ACTIVE}) AS w
"""  # noqa: S608  made of constants only


async def of_tenants(
    db: Connection, tenants: Sequence[TenantId], *, limit: int, most_bytes: int
) -> tuple[list[Subscription], set[TenantId]]:
    """
    Return the subscriptions of the active webhooks of these tenants, at most `limit` of each.

    Tenants whose subscriptions may take more than `most_bytes` are returned apart, unread.
    """
    rows, take_long = _quick(await db.fetch(FIND_ACTIVE, tenants, limit, most_bytes))
    return subscriptions_of(rows), take_long


IDS_AT_ONCE = 1000  # some milliseconds of the event loop
FIND_ACTIVE_IDS = """
    SELECT id FROM webhooks WHERE tenant_id = $1 AND is_active AND scope::text = 'events'
"""


async def active_ids(db: Connection, tenant_id: TenantId) -> list[WebhookId]:
    """Return the ids of a tenant's active webhooks; hundreds of thousands take several turns."""
    async with db.transaction():
        cursor = db.cursor(FIND_ACTIVE_IDS, tenant_id, prefetch=IDS_AT_ONCE)
        return [WebhookId(row["id"]) async for row in cursor]


BY_ID = f"""SELECT found.*
                              FROM pg_catalog.unnest($1::uuid[]) AS wanted (id)
                             CROSS JOIN LATERAL ({webhook("wanted.id")}) AS found
                             WHERE found.scope::text = 'events'"""  # noqa: S608  made of constants only
BOUNDED_BY_ID = _bounded(BY_ID, "$2")
FIND_BY_ID = f"""
    SELECT {SUBSCRIPTION} FROM ({BOUNDED_BY_ID}) AS w
"""  # noqa: S608  made of constants only


async def by_id(
    db: Connection, ids: Sequence[WebhookId], *, most_bytes: int
) -> list[Subscription] | None:
    """
    Return the subscriptions of these webhooks, paused ones included.

    Returns None, and reads nothing, if they may take more than `most_bytes`.
    """
    rows, take_long = _quick(await db.fetch(FIND_BY_ID, ids, most_bytes))
    return None if take_long else subscriptions_of(rows)


PAUSED = f"""SELECT {COLUMNS}
                              FROM webhooks
                             WHERE tenant_id = tenant.id AND NOT is_active
                               AND paused_at > tenant.since AND scope::text = 'events'
                             LIMIT $3"""  # noqa: S608  COLUMNS is a constant
BOUNDED_PAUSED = _bounded(PAUSED, "$4")
FIND_PAUSED_SINCE = f"""
    SELECT {SUBSCRIPTION}
      FROM unnest($1::uuid[], $2::timestamptz[]) AS tenant (id, since)
     CROSS JOIN LATERAL ({BOUNDED_PAUSED}) AS w
"""  # noqa: S608  made of constants only


async def paused_since(
    db: Connection, since: Mapping[TenantId, datetime], *, limit: int, most_bytes: int
) -> tuple[list[tuple[Subscription, datetime]], set[TenantId]]:
    """
    Return subscriptions of webhooks that were paused after their tenant's time, and when.

    At most `limit` of each tenant; those of `of_tenants` that take long are returned apart here
    too.
    """
    arguments = list(since), list(since.values()), limit, most_bytes
    rows, take_long = _quick(await db.fetch(FIND_PAUSED_SINCE, *arguments))
    times = [row["paused_at"] for row in rows]
    return list(zip(subscriptions_of(rows), times, strict=True)), take_long


FIND_PAUSED_IDS = """
    SELECT id
      FROM webhooks
     WHERE tenant_id = $1 AND NOT is_active AND paused_at > $2 AND scope::text = 'events'
     LIMIT $3
"""


async def paused_ids(
    db: Connection, tenant_id: TenantId, since: datetime, *, limit: int
) -> list[WebhookId]:
    """Return the ids of a tenant's webhooks that were paused after this time."""
    rows = await db.fetch(FIND_PAUSED_IDS, tenant_id, since, limit)
    return [WebhookId(row["id"]) for row in rows]


def _quick(rows: Sequence[Any]) -> tuple[list[Any], set[TenantId]]:
    """The rows that were read, and the tenants of the others."""
    take_long = {TenantId(row["tenant_id"]) for row in rows if row["takes_long"]}
    return [row for row in rows if not row["takes_long"]], take_long


def subscriptions_of(rows: Sequence[Any]) -> list[Subscription]:
    """The subscriptions of rows that have their columns, in the same order."""
    return [
        Subscription(
            webhook_id=WebhookId(row["id"]),
            tenant_id=TenantId(row["tenant_id"]),
            event_types=None if row["event_types"] is None else tuple(row["event_types"]),
            event_filters=row["event_filters"],
            filter_error=row["filter_error"],
            is_active=row["is_active"],
        )
        for row in rows
    ]


SET_FILTER_ERROR = """
    UPDATE webhooks SET filter_error = $2
     WHERE id = (SELECT id FROM webhooks WHERE id = $1 FOR NO KEY UPDATE SKIP LOCKED)
"""


async def note_filter_error(db: Connection, webhook_id: WebhookId, reason: str | None) -> None:
    """
    Store on the webhook why its filter matches nothing; None if it can be used.

    Does nothing if the webhook is locked: it never waits.
    """
    await db.execute(SET_FILTER_ERROR, webhook_id, reason)
