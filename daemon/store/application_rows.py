"""
Rows that the application wrote wrongly: looked for in bounded time, and never changed.

Deliveries of an unknown status have a partition of their own, which is all that is read where there
are partitions. A table from before has no index for them.
"""

from collections.abc import Sequence

from daemon.core.model.application_rows import Slip, WrongRow
from daemon.core.model.ids import TenantId
from daemon.store.errors import translated
from daemon.store.partitioning import Layout
from daemon.store.session import Connection

LONGEST_STATUS = 50

# With the status named, PostgreSQL reads the partition of other values alone.
UNKNOWN_STATUSES = f"""
    SELECT id, left(status::text, {LONGEST_STATUS}) AS status
      FROM webhook_deliveries
     WHERE (status::text <> ALL ('{{pending_retry, success, failed}}'::text[]) OR status IS NULL)
"""  # noqa: S608  a constant
NEW_ROWS = " AND legacy IS NULL"
LIMIT = " LIMIT $1"


async def unknown_statuses(
    db: Connection, layout: Layout, *, whole_table: bool, limit: int
) -> list[WrongRow]:
    """
    Find deliveries whose status has no meaning.

    Where the table is not, or not yet wholly, divided into partitions, the former table is only
    read with `whole_table`. Raises StatementTimeoutError.
    """
    if layout is Layout.PLAIN and not whole_table:
        return []
    in_partitions = layout is Layout.CONVERTED and not whole_table
    query = UNKNOWN_STATUSES + (NEW_ROWS if in_partitions else "") + LIMIT
    with translated():
        rows = await db.fetch(query, limit)
    return [
        WrongRow(Slip.UNKNOWN_STATUS, "webhook_deliveries", row["id"], detail=row["status"])
        for row in rows
    ]


PENDING_WITHOUT_TIME = """
    SELECT id
      FROM webhook_deliveries
     WHERE status::text = 'pending_retry' AND next_retry_at IS NULL
     LIMIT $1
"""


async def pending_without_time(db: Connection, *, limit: int) -> list[WrongRow]:
    """
    Find pending deliveries that no claim finds; reads every pending row at worst.

    Raises StatementTimeoutError.
    """
    with translated():
        rows = await db.fetch(PENDING_WITHOUT_TIME, limit)
    return [WrongRow(Slip.PENDING_WITHOUT_TIME, "webhook_deliveries", row["id"]) for row in rows]


TENANTS = """
    -- A loose scan: one index probe for each tenant, however many webhooks it has.
    WITH RECURSIVE tenant AS (
        SELECT first.tenant_id, 1 AS count
          FROM (SELECT tenant_id FROM webhooks
                 WHERE tenant_id > $1 ORDER BY tenant_id LIMIT 1) AS first
        UNION ALL
        SELECT next.tenant_id, tenant.count + 1
          FROM tenant
         CROSS JOIN LATERAL (
               SELECT tenant_id FROM webhooks
                WHERE tenant_id > tenant.tenant_id ORDER BY tenant_id LIMIT 1) AS next
         WHERE tenant.count < $2
    )
    SELECT tenant_id FROM tenant
"""


async def tenants_after(db: Connection, after: TenantId, *, limit: int) -> list[TenantId]:
    """Return the next tenants, in order of their ids, that have webhooks."""
    return [TenantId(row["tenant_id"]) for row in await db.fetch(TENANTS, after, limit)]


WRONG_EVENTS = """
    -- NULLs are found in an index like any other value.
    SELECT found.id, tenant.id AS tenant_id, found.without_time
      FROM pg_catalog.unnest($1::uuid[]) AS tenant (id)
     CROSS JOIN LATERAL (
           (SELECT id, true AS without_time
              FROM webhook_events
             WHERE tenant_id = tenant.id AND created_at IS NULL
             LIMIT $2)
            UNION ALL
           (SELECT id, false
              FROM webhook_events
             WHERE tenant_id = tenant.id AND event_type IS NULL
             LIMIT $2)) AS found
"""


async def wrong_events(
    db: Connection, tenants: Sequence[TenantId], *, limit: int
) -> list[WrongRow]:
    """
    Find up to `limit` events of each of these tenants without a time, and without a type.

    Raises StatementTimeoutError.
    """
    with translated():
        rows = await db.fetch(WRONG_EVENTS, tenants, limit)
    return [
        WrongRow(
            Slip.EVENT_WITHOUT_TIME if row["without_time"] else Slip.EVENT_WITHOUT_TYPE,
            "webhook_events",
            row["id"],
            TenantId(row["tenant_id"]),
        )
        for row in rows
    ]


LIMIT_TIME = "SET LOCAL statement_timeout = '2s'"


async def limit_time(db: Connection) -> None:
    """Bound each statement of this transaction, which searches for one tenant's or all rows."""
    await db.execute(LIMIT_TIME)
