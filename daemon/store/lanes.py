"""Which endpoints have pending attempts that are due, or will be soon."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from daemon.core.model.ids import TenantId, WebhookId
from daemon.store.holds import not_held
from daemon.store.pacing import LONGEST_WAIT, rate
from daemon.store.session import Connection
from daemon.store.webhook_rows import webhook

# A statement of a sweep takes some milliseconds; of one endpoint, a fraction of one.
LIMIT_TIME = "SET LOCAL statement_timeout = '300ms'; SET LOCAL lock_timeout = '200ms'"


@dataclass(frozen=True, slots=True)
class Upcoming:
    """When a lane's earliest pending attempt is due; `due_in` is in seconds, negative if past."""

    at: datetime
    due_in: float


@dataclass(frozen=True, slots=True)
class DueLane:
    """
    An active endpoint, which is not held, with a pending attempt that is due soon, and not leased.

    `limited`: it may be due and wait for another of its attempts, as its owner wants it.
    """

    webhook_id: WebhookId
    tenant_id: TenantId
    upcoming: Upcoming
    failing: bool
    limited: bool = False


@dataclass(frozen=True, slots=True)
class SweptLanes:
    """Some of the lanes in the order of their ids; `last` is the last one looked at, if any."""

    due: list[DueLane]
    looked_at: int
    last: WebhookId | None


def seconds_until(at: str) -> str:
    """SQL: the seconds until this time, negative if it is past; a century stands for more."""
    # The application may write `infinity`, with which PostgreSQL before 17 does not calculate.
    bounded = f"least(greatest({at}, now() - interval '100 years'), now() + interval '100 years')"
    return f"extract(epoch FROM {bounded} - now())::float8"


def due_lanes(*, soon: str) -> str:
    """SQL: the lanes of each `endpoint` of which an attempt is due `soon`; see DueLane."""
    return f"""
    SELECT w.id, w.tenant_id, endpoint.number, w.consecutive_failures > 0 AS failing,
           first.next_retry_at AS at,
           w.max_in_flight IS NOT NULL AS limited,
           {seconds_until("greatest(first.next_retry_at, probe.at, pace.next_at)")} AS due_in
      FROM endpoint
     CROSS JOIN LATERAL ({webhook("endpoint.id")}) AS w
      CROSS JOIN LATERAL (
            SELECT CASE WHEN w.is_failing AND w.requested_attempts IS NULL
                        THEN w.next_probe_at END AS at) AS probe
      LEFT JOIN LATERAL (
            SELECT p.next_at
              FROM webhook_pacing AS p
             WHERE w.max_per_second IS NOT NULL AND p.webhook_id = w.id
               AND p.per_second = {rate("w")} AND p.next_at < now() + {LONGEST_WAIT}) AS pace
             ON true
      CROSS JOIN LATERAL (
            SELECT next_retry_at
              FROM webhook_deliveries
             WHERE webhook_id = w.id AND status::text = 'pending_retry'
               AND next_retry_at <= now() + {soon}::interval
               AND (leased_until IS NULL OR leased_until < now())
             ORDER BY next_retry_at
             LIMIT 1) AS first
     WHERE w.is_active AND {not_held("w")}
       AND endpoint.at <= now() + {soon}::interval
       AND coalesce(probe.at <= now() + {soon}::interval, true)"""  # noqa: S608  constants only


FIND_DUE_LANES = f"""
    -- A loose scan: one index probe for each endpoint with pending attempts, whatever its backlog.
    -- It finds the earliest of them, so that nothing else is read of an endpoint that is due later.
    WITH RECURSIVE endpoint (number, id, at) AS (
        (SELECT 1, webhook_id, next_retry_at
           FROM webhook_deliveries
          WHERE status::text = 'pending_retry' AND webhook_id > $1 AND webhook_id <= $4
          ORDER BY webhook_id, next_retry_at
          LIMIT 1)
        UNION ALL
        SELECT endpoint.number + 1, d.webhook_id, d.next_retry_at
          FROM endpoint
          CROSS JOIN LATERAL (
                SELECT webhook_id, next_retry_at
                  FROM webhook_deliveries
                 WHERE status::text = 'pending_retry'
                   AND webhook_id > endpoint.id AND webhook_id <= $4
                 ORDER BY webhook_id, next_retry_at
                 LIMIT 1) AS d
         WHERE endpoint.number < $2
    )
    {due_lanes(soon="$3")}
    UNION ALL
    (SELECT id, NULL, number, NULL, NULL, NULL, NULL FROM endpoint ORDER BY number DESC LIMIT 1)
"""  # noqa: S608  made of constants only


async def sweep_lanes(
    db: Connection,
    after: UUID,
    *,
    through: UUID,
    limit: int,
    soon: timedelta,
    is_limited: bool,
) -> SweptLanes | None:
    """
    Look at the next `limit` endpoints with anything pending, whether or not one was announced.

    Returns those with an attempt that is due, or will be `soon`; of an endpoint that is failing,
    one that may begin by then. Of one with a limit per second, it is due when that allows it.
    None if it takes too long: `is_limited`, a part of a second, which costs a few round trips more.
    """
    fetch = _fetch_in_time if is_limited else _fetch
    found = await fetch(db, FIND_DUE_LANES, after, limit, soon, through)
    if not found:
        return None if found is None else SweptLanes([], 0, None)
    *due, last = found
    return SweptLanes([_lane(row) for row in due], last["number"], WebhookId(last["id"]))


FIND_WEBHOOKS = "SELECT id FROM webhooks WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3"


async def webhooks_after(
    db: Connection, *, after: UUID, through: UUID, limit: int
) -> list[WebhookId]:
    """Return the next webhooks in the order of their ids, `through` included."""
    return [WebhookId(row["id"]) for row in await db.fetch(FIND_WEBHOOKS, after, through, limit)]


FIND_DUE_LANES_OF = f"""
    -- For each of these, the same probe as that of a sweep, but of no entries of any other.
    WITH endpoint (number, id, at) AS (
        SELECT 1, wanted.id, earliest.next_retry_at
          FROM pg_catalog.unnest($1::uuid[]) AS wanted (id)
         CROSS JOIN LATERAL (
               SELECT next_retry_at
                 FROM webhook_deliveries
                WHERE status::text = 'pending_retry' AND webhook_id = wanted.id
                ORDER BY next_retry_at
                LIMIT 1) AS earliest
    )
    {due_lanes(soon="$2")}
"""  # noqa: S608  made of constants only


async def due_lanes_of(
    db: Connection, webhook_ids: Collection[WebhookId], *, soon: timedelta
) -> list[DueLane] | None:
    """Return those of these webhooks that a sweep would return; None if it takes too long."""
    rows = await _fetch_in_time(db, FIND_DUE_LANES_OF, list(webhook_ids), soon)
    return None if rows is None else [_lane(row) for row in rows]


def _lane(row: Mapping[str, Any]) -> DueLane:
    return DueLane(
        webhook_id=WebhookId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        upcoming=Upcoming(row["at"], row["due_in"]),
        failing=row["failing"],
        limited=row["limited"],
    )


async def _fetch_in_time(db: Connection, query: str, *args: object) -> list[Any] | None:
    """Fetch the rows; None if reading them takes longer than LIMIT_TIME."""
    try:
        async with db.transaction():
            await db.execute(LIMIT_TIME)
            return list(await db.fetch(query, *args))
    except asyncpg.LockNotAvailableError:  # somebody has locked a table: nothing is slow to read
        return list(await db.fetch(query, *args))
    except asyncpg.QueryCanceledError:
        return None


async def _fetch(db: Connection, query: str, *args: object) -> list[Any] | None:
    """Fetch the rows; None if that takes longer than any statement may."""
    try:
        return list(await db.fetch(query, *args))
    except asyncpg.QueryCanceledError:
        return None


FIND_TENANTS = f"""
    SELECT found.id, found.tenant_id
      FROM pg_catalog.unnest($1::uuid[]) AS wanted (id)
     CROSS JOIN LATERAL ({webhook("wanted.id")}) AS found
"""  # noqa: S608  made of constants only


async def tenants_of(
    db: Connection, webhook_ids: Collection[WebhookId]
) -> dict[WebhookId, TenantId]:
    """Return the tenant of each of these webhooks; those that are gone are missing."""
    rows = await db.fetch(FIND_TENANTS, list(webhook_ids))
    return {WebhookId(row["id"]): TenantId(row["tenant_id"]) for row in rows}
