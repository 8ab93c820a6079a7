"""Events past their retention; one that fan-out or an attempt still needs stays at any age."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from daemon.store.errors import translated
from daemon.store.expired_rows import ExpiredPage, LaneCursor, delete_rows, find_page
from daemon.store.session import Connection

# Events in the inbox. One tenant may have many there for long, by locking its webhook.
MOST_WAITING = 1_000_000

FIND = """
    -- A loose index scan finds the tenants: one probe for each, however many events it has.
    -- Backwards, because a tenant's oldest index entries belong to deleted rows.
    WITH RECURSIVE tenant (id) AS (
        (SELECT tenant_id FROM webhook_events WHERE tenant_id <= $1
          ORDER BY tenant_id DESC LIMIT 1)
        UNION ALL
        SELECT (SELECT e.tenant_id FROM webhook_events AS e WHERE e.tenant_id < tenant.id
                 ORDER BY e.tenant_id DESC LIMIT 1)
          FROM tenant WHERE tenant.id IS NOT NULL
    ), lane AS MATERIALIZED (
        SELECT id, CASE WHEN id < $1 THEN $4::text ELSE $2::text END::timestamptz AS after_at,
               CASE WHEN id < $1 THEN '00000000-0000-0000-0000-000000000000' ELSE $3::uuid
                END AS after_id
          FROM tenant WHERE id IS NOT NULL LIMIT $7::bigint
    ), seen AS MATERIALIZED (
        SELECT e.*
          FROM lane CROSS JOIN LATERAL (
                SELECT id, tenant_id, created_at AS at
                  FROM webhook_events
                 WHERE tenant_id = lane.id AND created_at < now() - $5::interval
                   AND (created_at, id) > (lane.after_at, lane.after_id)
                 ORDER BY created_at, id
                 LIMIT $6) AS e
         LIMIT $6
    ), waiting AS MATERIALIZED (
        -- Events published with an old time are delivered first. An event that has left the inbox
        -- never returns to it, so this snapshot stays valid while the page is deleted. IS TRUE,
        -- because the planner would make a join of IN alone, and may choose one that compares all
        -- rows with all.
        SELECT coalesce(pg_catalog.array_agg(DISTINCT event_id) FILTER (WHERE is_seen),
                        ARRAY[]::uuid[]) AS ids,
               count(*) AS rows_read
          FROM (SELECT event_id, (event_id IN (SELECT id FROM seen)) IS TRUE AS is_seen
                  FROM webhook_event_inbox
                 LIMIT $8::bigint) AS inbox
    )
    SELECT ARRAY(SELECT id FROM seen
                  -- Beyond this backlog the comparison would cost too much; fan-out goes first.
                  WHERE (SELECT rows_read FROM waiting) < $8::bigint
                    AND id <> ALL ((SELECT ids FROM waiting)::uuid[])) AS ids,
           (now() - $5::interval - interval '1 minute')::text AS floor,
           next.lane, next.at::text, next.id
      FROM (SELECT) AS one
      LEFT JOIN LATERAL (
            -- A full page ends at its last row, any other at the last of its tenants.
            (SELECT tenant_id AS lane, at, id FROM seen
              ORDER BY tenant_id DESC, at, id OFFSET $6 - 1)
            UNION ALL
            (SELECT id, 'infinity', id FROM lane ORDER BY id DESC OFFSET $7::bigint - 1)
            LIMIT 1) AS next ON true
"""


async def find(
    db: Connection,
    cursor: LaneCursor,
    *,
    floor: str,
    older_than: timedelta,
    limit: int,
    lanes: int,
) -> ExpiredPage:
    """
    Read up to `limit` events older than that, of `lanes` tenants at most, from `cursor` on.

    Raises StatementTimeoutError.
    """
    return await find_page(
        *(db, FIND, cursor, MOST_WAITING + 1),
        floor=floor,
        older_than=older_than,
        limit=limit,
        lanes=lanes,
    )


FIND_LANE_BEHIND = """
    SELECT tenant_id FROM webhooks WHERE tenant_id < $1 ORDER BY tenant_id DESC LIMIT 1
"""


async def lane_behind(db: Connection, tenant_id: UUID) -> UUID | None:
    """
    Return the next tenant with a webhook, without a look at its events; None if there is none.

    For a tenant of which the scan above passes too much: events of an open transaction, or dead.
    """
    with translated():
        found: UUID | None = await db.fetchval(FIND_LANE_BEHIND, tenant_id)
    return found


DELETE = """
    DELETE FROM webhook_events
     WHERE id = ANY (ARRAY(
            SELECT e.id FROM webhook_events AS e
             WHERE e.id = ANY ($1::uuid[])
               -- A pending attempt that the application inserted reads its event. Not EXISTS: the
               -- planner may turn that into a join which reads every pending row.
               AND (SELECT bool_or(d.status::text = 'pending_retry'
                                   AND (d.event_created_at IS NULL OR d.payload IS NULL))
                      FROM webhook_deliveries AS d
                     WHERE d.event_id = e.id) IS NOT TRUE
               FOR UPDATE SKIP LOCKED))
"""


async def delete(db: Connection, ids: Sequence[UUID]) -> int:
    """
    Delete those of the events that are neither locked nor needed by a pending delivery.

    Returns how many were deleted. Raises StatementTimeoutError.
    """
    return await delete_rows(db, DELETE, ids)
