"""
What a replay may send: stored events, or deliveries that were given up; in order, and in pages.

The rule: no statement reads much more than a page, whatever the window holds.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.scheduling.replay_pace import Candidate, Position
from daemon.store.session import Connection

DATA_READ_AT_ONCE = 50  # an event may hold megabytes
COUNTED_AT_ONCE = 20_000

IN_ORDER = "SET LOCAL enable_sort = off"


async def read_in_order(db: Connection) -> None:
    """
    Until the transaction ends, read what is to be in order by the index that has it so.

    A planner that has not yet seen a table grow would else read all of it by another, and sort.
    """
    await db.execute(IN_ORDER)


EVENTS = """
    SELECT id, created_at AS at, coalesce(event_type, '') AS event_type, true AS fits
      FROM webhook_events
     WHERE tenant_id = $1 AND (created_at, id) > ($2, $3) AND created_at < $4
     ORDER BY created_at, id
     LIMIT $5
"""


async def events(
    db: Connection, tenant_id: TenantId, *, after: Position, before: datetime, limit: int
) -> list[Candidate]:
    """A tenant's next events; call after `read_in_order`."""
    return _candidates(await db.fetch(EVENTS, tenant_id, after.at, after.id, before, limit))


EXHAUSTED = """
    WITH page AS MATERIALIZED (
        SELECT id, event_id, event_type, attempted_at, status
          FROM webhook_deliveries
         WHERE webhook_id = $1 AND (attempted_at, id) > ($2, $3) AND attempted_at < $4
         ORDER BY attempted_at, id
         LIMIT $5
    )
    SELECT id, attempted_at AS at, coalesce(event_type, '') AS event_type,
           status = 'failed' AND NOT EXISTS (
               SELECT
                 FROM webhook_deliveries AS other
                      -- A range, for which there is but one index: of two equations, a planner
                      -- without statistics may take the webhook's, and read all of it each time.
                WHERE (other.event_id, other.webhook_id) >= (page.event_id, $1)
                  AND (other.event_id, other.webhook_id) <= (page.event_id, $1)
                  AND (other.status <> 'failed'
                       OR (other.attempted_at, other.id) > (page.attempted_at, page.id))) AS fits
      FROM page
     ORDER BY attempted_at, id
"""


async def exhausted(
    db: Connection, webhook_id: WebhookId, *, after: Position, before: datetime, limit: int
) -> list[Candidate]:
    """
    A webhook's next attempts; those fit that failed and are the last of their event.

    None fits of an event that has an attempt which succeeded or is still to be made.
    """
    return _candidates(await db.fetch(EXHAUSTED, webhook_id, after.at, after.id, before, limit))


def _candidates(rows: Sequence[Any]) -> list[Candidate]:
    return [
        Candidate(Position(row["at"], row["id"]), row["event_type"], row["fits"]) for row in rows
    ]


# Of one page: how many of each type fit, and with which candidate it ends if it is a full one.
BY_TYPE = """
    WITH page AS MATERIALIZED ({}), last AS MATERIALIZED (
        SELECT at, id FROM page ORDER BY at, id OFFSET $5 - 1
    )
    SELECT event_type, count(*) FILTER (WHERE fits) AS count, last.at, last.id
      FROM page LEFT JOIN last ON true
     GROUP BY event_type, last.at, last.id
"""
EVENTS_BY_TYPE = BY_TYPE.format(EVENTS)
EXHAUSTED_BY_TYPE = BY_TYPE.format(EXHAUSTED)


@dataclass(frozen=True, slots=True)
class Counted:
    """How many of a page fit, by type; behind `end` there may be more, None: there is not."""

    by_type: Counter[str]
    end: Position | None


async def count_events(
    db: Connection, tenant_id: TenantId, *, after: Position, before: datetime
) -> Counted:
    """Count a page of what `events` reads; call after `read_in_order`."""
    return await _count(db, EVENTS_BY_TYPE, tenant_id, after, before)


async def count_exhausted(
    db: Connection, webhook_id: WebhookId, *, after: Position, before: datetime
) -> Counted:
    """Count a page of what `exhausted` reads; call after `read_in_order`."""
    return await _count(db, EXHAUSTED_BY_TYPE, webhook_id, after, before)


async def _count(
    db: Connection, query: str, whose: UUID, after: Position, before: datetime
) -> Counted:
    rows = await db.fetch(query, whose, after.at, after.id, before, COUNTED_AT_ONCE)
    full = bool(rows) and rows[0]["id"] is not None
    end = Position(rows[0]["at"], rows[0]["id"]) if full else None
    return Counted(Counter({row["event_type"]: row["count"] for row in rows}), end)
