"""Deliveries past their retention; one that is pending or leased stays at any age."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from daemon.store.errors import translated
from daemon.store.expired_rows import ExpiredPage, LaneCursor, delete_rows, find_page
from daemon.store.history_partitions import kept_longer
from daemon.store.session import Connection

EXPIRED = """expired AS MATERIALIZED (
        -- Partitions are dropped whole: what remains was not in one that could be.
        SELECT now() - {older_than}::interval
               - CASE WHEN to_regclass('webhook_deliveries_history'::text) IS NULL
                      THEN '0'::interval ELSE {kept_longer}::interval END AS before
    )"""
FIND = f"""
    WITH {EXPIRED.format(older_than="$5", kept_longer="$8")}, lane AS MATERIALIZED (
        SELECT id, CASE WHEN id < $1 THEN $4::text ELSE $2::text END::timestamptz AS after_at,
               CASE WHEN id < $1 THEN '00000000-0000-0000-0000-000000000000' ELSE $3::uuid
                END AS after_id
          FROM webhooks WHERE id <= $1 ORDER BY id DESC LIMIT $7::bigint
    ), seen AS MATERIALIZED (
        -- Whatever their status: otherwise a webhook with a million old pending attempts would be
        -- read through each time for the few that are finished.
        SELECT d.*
          FROM lane CROSS JOIN LATERAL (
                SELECT id, webhook_id, attempted_at AS at, status, leased_until
                  FROM webhook_deliveries
                 WHERE webhook_id = lane.id AND attempted_at < (SELECT before FROM expired)
                   AND (attempted_at, id) > (lane.after_at, lane.after_id)
                 ORDER BY attempted_at, id
                 LIMIT $6) AS d
         LIMIT $6
    )
    SELECT ARRAY(SELECT id FROM seen
                  WHERE status::text IN ('success', 'failed')
                    AND (leased_until IS NULL OR leased_until < now())) AS ids,
           ((SELECT before FROM expired) - interval '1 minute')::text AS floor,
           next.lane, next.at::text, next.id
      FROM (SELECT) AS one
      LEFT JOIN LATERAL (
            -- A full page ends at its last row, any other at the last of its webhooks.
            (SELECT webhook_id AS lane, at, id FROM seen
              ORDER BY webhook_id DESC, at, id OFFSET $6 - 1)
            UNION ALL
            (SELECT id, 'infinity', id FROM lane ORDER BY id DESC OFFSET $7::bigint - 1)
            LIMIT 1) AS next ON true
"""  # noqa: S608  made of constants only


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
    Read up to `limit` deliveries older than that, of `lanes` webhooks at most, from `cursor` on.

    Raises StatementTimeoutError.
    """
    return await find_page(
        db,
        FIND,
        cursor,
        kept_longer(older_than),
        floor=floor,
        older_than=older_than,
        limit=limit,
        lanes=lanes,
    )


FIND_LANE_BEHIND = "SELECT id FROM webhooks WHERE id < $1 ORDER BY id DESC LIMIT 1"


async def lane_behind(db: Connection, webhook_id: UUID) -> UUID | None:
    """Return the next webhook, without a look at its deliveries; None if there is none."""
    with translated():
        found: UUID | None = await db.fetchval(FIND_LANE_BEHIND, webhook_id)
    return found


DELETE = f"""
    WITH {EXPIRED.format(older_than="$2", kept_longer="$3")}
    DELETE FROM webhook_deliveries
     WHERE status::text IN ('success', 'failed')
       -- Other partitions may have rows with these ids.
       AND attempted_at < (SELECT before FROM expired)
       AND id = ANY (ARRAY(SELECT id FROM webhook_deliveries
                            WHERE id = ANY ($1::uuid[]) AND status::text IN ('success', 'failed')
                              AND attempted_at < (SELECT before FROM expired)
                              FOR UPDATE SKIP LOCKED))
"""  # noqa: S608  made of constants only


async def delete(db: Connection, ids: Sequence[UUID], *, older_than: timedelta) -> int:
    """
    Delete those of the deliveries that are finished, older than that and not locked.

    Returns how many were deleted. Raises StatementTimeoutError.
    """
    return await delete_rows(db, DELETE, ids, older_than, kept_longer(older_than))
