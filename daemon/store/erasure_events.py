"""Erasure of events with their inbox entries and their deliveries."""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.core.model.erasure import ErasureCounts, ErasureTarget
from daemon.core.model.ids import EventId, TenantId
from daemon.core.policy.contact_fields import CONTACT_JSON_PATHS
from daemon.store.erasure import (
    IDENTIFIES_CONTACT,
    ErasureStep,
    TextCursor,
    counts_of_deliveries,
    cursor_after,
)
from daemon.store.replay_results import counting_erased
from daemon.store.session import Connection

FIND = f"""
    WITH kept AS MATERIALIZED (
        (SELECT id, created_at AS at, event_data AS data
           FROM webhook_events
          WHERE tenant_id = $3 AND (created_at, id) > ($4::text::timestamptz, $5)
          ORDER BY created_at, id
          LIMIT $6)
        UNION ALL
        -- Events without a time come last; ordered as the whole index, or all would be sorted.
        (SELECT id, created_at, event_data
           FROM webhook_events
          WHERE tenant_id = $3 AND created_at IS NULL
            AND id > CASE WHEN $4::text IS NULL THEN $5
                          ELSE '00000000-0000-0000-0000-000000000000' END
          ORDER BY created_at, id
          LIMIT $6)
        LIMIT $6
    )
    SELECT id, at::text, $1::text IS NULL OR {IDENTIFIES_CONTACT} AS matches
      FROM kept
     ORDER BY kept.at NULLS LAST, id
"""  # noqa: S608  IDENTIFIES_CONTACT is a constant


@dataclass(frozen=True, slots=True)
class EventPage:
    """The events of a page that belong to the target, out of `rows_read`, and the next cursor."""

    ids: list[EventId]
    rows_read: int
    next: TextCursor


async def find(
    db: Connection, target: ErasureTarget, cursor: TextCursor, *, limit: int
) -> EventPage:
    """Read a page of up to `limit` of the tenant's events, oldest first."""
    rows = await db.fetch(
        FIND,
        target.contact,
        CONTACT_JSON_PATHS,
        target.tenant_id,
        cursor.at,
        cursor.id,
        limit,
    )
    ids = [EventId(row["id"]) for row in rows if row["matches"]]
    return EventPage(ids, len(rows), cursor_after(rows, cursor))


COUNT_WAITING = """
    SELECT pg_catalog.count(DISTINCT event_id)
      FROM webhook_event_inbox
     WHERE event_id = ANY ($1::uuid[])
"""


async def count_waiting(db: Connection, ids: Sequence[EventId]) -> int:
    """How many of these events have not been fanned out."""
    return int(await db.fetchval(COUNT_WAITING, ids))


ERASE_WAITING = """
    WITH gone AS (
        DELETE FROM webhook_event_inbox
         WHERE ctid = ANY (ARRAY(
                SELECT ctid
                  FROM webhook_event_inbox
                 WHERE event_id = ANY ($1::uuid[])
                   FOR UPDATE SKIP LOCKED))
     RETURNING event_id
    )
    SELECT pg_catalog.count(DISTINCT event_id) FROM gone
"""

ERASE_DELIVERIES = counting_erased("""
        DELETE FROM webhook_deliveries AS d
         WHERE d.id = ANY (ARRAY(
                SELECT id
                  FROM webhook_deliveries AS found
                 WHERE event_id = ANY ($2::uuid[])
                   -- No join: a planner without statistics may start from the tenant's webhooks and
                   -- read all of their deliveries.
                   AND (SELECT tenant_id FROM webhooks WHERE id = found.webhook_id) = $1
                 LIMIT $3
                   FOR UPDATE SKIP LOCKED))
           -- Others may have rows with these ids. In a form for which a planner uses no index.
           AND NOT d.event_id <> ALL ($2::uuid[])
           AND (SELECT tenant_id FROM webhooks WHERE id = d.webhook_id) = $1
""")

ERASE_EVENTS = """
    -- By id first, then by tenant: a planner without statistics may choose the tenant's index, and
    -- read all of it.
    WITH requested AS MATERIALIZED (
        SELECT id, tenant_id FROM webhook_events WHERE id = ANY ($2::uuid[])
    ), waiting AS MATERIALIZED (
        SELECT event_id FROM webhook_event_inbox WHERE event_id = ANY ($2::uuid[])
    )
    DELETE FROM webhook_events
     WHERE id = ANY (ARRAY(
            SELECT e.id
              FROM requested JOIN webhook_events AS e ON e.id = requested.id
             WHERE requested.tenant_id = $1
               AND e.id NOT IN (SELECT event_id FROM waiting)
               AND (SELECT count(*)
                      FROM (SELECT
                              FROM webhook_deliveries AS d
                             WHERE d.event_id = e.id
                               AND (SELECT tenant_id FROM webhooks WHERE id = d.webhook_id) = $1
                             LIMIT 1) AS delivery) = 0
               FOR UPDATE OF e SKIP LOCKED))
"""

COUNT_REMAINING = """
    WITH requested AS MATERIALIZED (
        SELECT tenant_id FROM webhook_events WHERE id = ANY ($2::uuid[])
    )
    SELECT count(*) FROM requested WHERE tenant_id = $1
"""


async def erase(
    db: Connection, tenant_id: TenantId, ids: Sequence[EventId], *, limit: int
) -> ErasureStep:
    """
    Erase these events of the tenant, with up to `limit` of their deliveries.

    Call it again, in another transaction, until none remains.
    """
    waiting = await db.fetchval(ERASE_WAITING, ids)
    deliveries = await db.fetch(ERASE_DELIVERIES, tenant_id, ids, limit)
    events = int((await db.execute(ERASE_EVENTS, tenant_id, ids)).split()[-1])
    remaining = await db.fetchval(COUNT_REMAINING, tenant_id, ids)
    erased = ErasureCounts(events=events, waiting=waiting) + counts_of_deliveries(deliveries)
    return ErasureStep(erased, remaining)
