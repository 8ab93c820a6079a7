"""
Tenants and how their webhooks are doing, those with trouble first.

The rule: a page reads a bounded number of rows, however many tenants there are, and however many
webhooks and pending attempts one of them has. What is read of one tenant is bounded too.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from daemon.core.model.ids import TenantId
from daemon.core.model.tenants import FIRST_ID, TenantOverview, TenantPlace
from daemon.store import tenants
from daemon.store.search import fetch_step
from daemon.store.session import Connection

# Webhooks in trouble that are put in order, of all tenants. Tenants beyond them follow by their
# ids, among those without trouble.
MOST_TROUBLED = 20_000
# Tenants looked at for one page of those without trouble.
MOST_LOOKED_AT = 1000
MOST_COUNTED = 2000  # webhooks of one tenant
MOST_LANES = 500  # webhooks of one tenant whose pending attempts are looked at
MOST_SECONDS = 2.0  # for what takes long to find, of all tenants of a page

# As the predicate of the index says it.
IN_TROUBLE = "CASE WHEN is_active THEN is_failing ELSE true END"

FIND_TROUBLED = f"""
    WITH troubled AS MATERIALIZED (
        SELECT tenant_id, is_active
          FROM webhooks
         WHERE {IN_TROUBLE}
         ORDER BY tenant_id
         LIMIT {MOST_TROUBLED}
    ), tenant AS MATERIALIZED (
        SELECT tenant_id AS id,
               pg_catalog.count(*) FILTER (WHERE is_active) AS failing,
               pg_catalog.count(*) FILTER (WHERE NOT is_active) AS paused
          FROM troubled
         GROUP BY tenant_id
    )
    SELECT id, failing, paused
      FROM tenant
     WHERE $1::bigint IS NULL
        OR (-failing, -paused, id) > (-$1::bigint, -$2::bigint, $3::uuid)
     ORDER BY failing DESC, paused DESC, id
     LIMIT $4
"""  # noqa: S608  made of constants only

LAST_TROUBLED = f"""
    SELECT tenant_id
      FROM webhooks
     WHERE {IN_TROUBLE}
     ORDER BY tenant_id
    OFFSET {MOST_TROUBLED - 1}
     LIMIT 1
"""  # noqa: S608  made of constants only

FIND_OTHERS = f"""
    SELECT candidate.id,
           ($3::uuid IS NULL OR candidate.id <= $3)
           AND EXISTS (SELECT FROM webhooks
                        WHERE tenant_id = candidate.id AND {IN_TROUBLE}) AS listed_before
      FROM pg_catalog.unnest($1::uuid[]) AS candidate (id)
     ORDER BY candidate.id
     LIMIT $2
"""  # noqa: S608  made of constants only


async def list_places(
    db: Connection, after: TenantPlace | None, *, limit: int
) -> tuple[list[TenantId], TenantPlace | None]:
    """
    Return the tenants of a page in their order, and the place at which the next one begins.

    A page of tenants without trouble may be short although more follow.
    """
    found: list[TenantId] = []
    if after is None or after.failing or after.paused:
        given = (None, None, None) if after is None else (after.failing, after.paused, after.id)
        rows = await db.fetch(FIND_TROUBLED, *given, limit + 1)
        found = [TenantId(row["id"]) for row in rows[:limit]]
        if len(rows) > limit:
            last = rows[limit - 1]
            return found, TenantPlace(last["failing"], last["paused"], last["id"])
        after = TenantPlace(0, 0, FIRST_ID)
    others, following = await _others(db, after.id, limit=limit - len(found))
    return found + others, following


async def _others(
    db: Connection, after: UUID, *, limit: int
) -> tuple[list[TenantId], TenantPlace | None]:
    """The tenants behind this id that `FIND_TROUBLED` does not find."""
    candidates = await tenants.after(db, after, limit=MOST_LOOKED_AT)
    last_troubled = await db.fetchval(LAST_TROUBLED)
    rows = await db.fetch(FIND_OTHERS, candidates, MOST_LOOKED_AT, last_troubled)
    others = [TenantId(row["id"]) for row in rows if not row["listed_before"]]
    if len(others) > limit:
        # Before the first one that has no room: the page may have none at all.
        shown = others[:limit]
        return shown, TenantPlace(0, 0, shown[-1] if shown else after)
    more = len(candidates) == MOST_LOOKED_AT
    return others, TenantPlace(0, 0, candidates[-1]) if more else None


COUNTS = f"""
    SELECT tenant.id, counted.webhooks, trouble.failing, trouble.paused
      FROM pg_catalog.unnest($1::uuid[]) WITH ORDINALITY AS tenant (id, place)
     CROSS JOIN LATERAL (
            SELECT pg_catalog.count(*) AS webhooks
              FROM (SELECT FROM webhooks WHERE tenant_id = tenant.id
                     LIMIT {MOST_COUNTED}) AS few) AS counted
     CROSS JOIN LATERAL (
            SELECT pg_catalog.count(*) FILTER (WHERE is_active) AS failing,
                   pg_catalog.count(*) FILTER (WHERE NOT is_active) AS paused
              FROM (SELECT is_active FROM webhooks
                     WHERE tenant_id = tenant.id AND {IN_TROUBLE}
                     LIMIT {MOST_COUNTED}) AS few) AS trouble
     ORDER BY tenant.place
"""  # noqa: S608  made of constants only

# Rows that an open transaction has inserted, or that are not vacuumed, are passed by both.
TIMES = f"""
    SELECT tenant.id, event.at AS last_event_at,
           extract(epoch FROM now() - due.at)::float8 AS oldest_due_seconds
      FROM pg_catalog.unnest($1::uuid[]) AS tenant (id)
     CROSS JOIN LATERAL (
            -- The application may write any time.
            SELECT pg_catalog.min(first.at) FILTER (WHERE first.at BETWEEN '0001-01-02' AND now())
                       AS at
              FROM (SELECT id FROM webhooks
                     WHERE tenant_id = tenant.id AND is_active LIMIT {MOST_LANES}) AS webhook
             CROSS JOIN LATERAL (
                    SELECT next_retry_at AS at
                      FROM webhook_deliveries
                     WHERE webhook_id = webhook.id AND status::text = 'pending_retry'
                     ORDER BY next_retry_at
                     LIMIT 1) AS first) AS due
      LEFT JOIN LATERAL (
            SELECT created_at AS at
              FROM webhook_events
             WHERE tenant_id = tenant.id AND created_at BETWEEN '0001-01-02' AND now()
             ORDER BY created_at DESC, id DESC
             LIMIT 1) AS event ON true
"""  # noqa: S608  made of constants only


NO_TIMES: Mapping[str, Any] = {"oldest_due_seconds": None, "last_event_at": None}


async def overviews(db: Connection, ids: Sequence[TenantId]) -> list[TenantOverview]:
    """
    Return these tenants, in this order. Call outside a transaction.

    Of one of which the times take too long to find, they are None.
    """
    names: Mapping[TenantId, str] = await tenants.names(db, ids)
    rows, times = await db.fetch(COUNTS, ids), await _times(db, ids)
    return [
        TenantOverview(
            id=TenantId(row["id"]),
            name=names.get(row["id"]),
            webhooks=row["webhooks"],
            failing=row["failing"],
            paused=row["paused"],
            **times.get(row["id"], NO_TIMES),
        )
        for row in rows
    ]


async def _times(db: Connection, ids: Sequence[TenantId]) -> dict[TenantId, Mapping[str, Any]]:
    """Find the times of these tenants, without those that take too long: found by halving."""
    found: dict[TenantId, Mapping[str, Any]] = {}
    left, ends_at = [ids], time.monotonic() + MOST_SECONDS
    while left and time.monotonic() < ends_at:
        some = left.pop(0)
        rows = await fetch_step(db, TIMES, some)
        if rows is not None:
            found |= {TenantId(row["id"]): {key: row[key] for key in NO_TIMES} for row in rows}
        elif len(some) > 1:
            middle = len(some) // 2
            left += [some[:middle], some[middle:]]
    return found
