"""
The rows that a replay may send, in order and page by page: stored events, or exhausted deliveries.

The rule: no statement reads much more than a page, whatever the replay's window contains.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from daemon.core.model.cursor import Cursor
from daemon.core.model.ids import ReplayId, TenantId, WebhookId
from daemon.core.scheduling.replay_pace import Candidate
from daemon.store.attempt_chains import EXHAUSTED
from daemon.store.session import Connection

DATA_READ_AT_ONCE = 50  # an event may hold megabytes
COUNTED_AT_ONCE = 20_000

DISABLE_SORT = "SET LOCAL enable_sort = off"


async def read_in_order(db: Connection) -> None:
    """
    Make statements read ordered rows from the index of that order, until the transaction ends.

    A planner that has not yet seen a table grow would otherwise read all of it by another index,
    and sort.
    """
    await db.execute(DISABLE_SORT)


SELECT_EVENTS = """
    SELECT id, created_at AS at, coalesce(event_type, '') AS event_type, true AS eligible,
           coalesce(pg_catalog.pg_column_size(event_data), 0) AS size
      FROM webhook_events
     WHERE tenant_id = $1 AND (created_at, id) > ($2, $3) AND created_at < $4
     ORDER BY created_at, id
     LIMIT $5
"""


async def list_events(
    db: Connection, tenant_id: TenantId, *, after: Cursor, before: datetime, limit: int
) -> list[Candidate]:
    """Return a tenant's next events; call after `read_in_order`."""
    return _candidates(await db.fetch(SELECT_EVENTS, tenant_id, after.at, after.id, before, limit))


SELECT_ATTEMPTS = f"""
    WITH page AS MATERIALIZED (
        SELECT id, event_id, webhook_id, event_type, attempted_at, status, too_large,
               chain_replays, coalesce(pg_catalog.pg_column_size(payload), 0) AS size
          FROM webhook_deliveries
         WHERE webhook_id = $1 AND (attempted_at, id) > ($2, $3) AND attempted_at < $4
         ORDER BY attempted_at, id
         LIMIT $5
    )
    SELECT id, attempted_at AS at, coalesce(event_type, '') AS event_type,
           CASE WHEN $6::uuid IS NULL OR $6 = ANY (d.chain_replays) THEN {EXHAUSTED}
                ELSE false END AS eligible,
           size
      FROM page AS d
     ORDER BY attempted_at, id
"""  # noqa: S608  made of constants only


async def list_attempts(
    db: Connection,
    webhook_id: WebhookId,
    *,
    after: Cursor,
    before: datetime,
    limit: int,
    of_replay: ReplayId | None = None,
) -> list[Candidate]:
    """
    Return a webhook's next attempts; the exhausted ones are eligible.

    With `of_replay`, only those that count for that replay are.
    """
    rows = await db.fetch(SELECT_ATTEMPTS, webhook_id, after.at, after.id, before, limit, of_replay)
    return _candidates(rows)


def _candidates(rows: Sequence[Any]) -> list[Candidate]:
    return [
        Candidate(Cursor(row["at"], row["id"]), row["event_type"], row["eligible"], row["size"])
        for row in rows
    ]


# How many candidates of each type in one page are eligible, and the last candidate of a full page.
COUNT_BY_TYPE = """
    WITH page AS MATERIALIZED ({}), last AS MATERIALIZED (
        SELECT at, id FROM page ORDER BY at, id OFFSET $5 - 1
    )
    SELECT event_type, count(*) FILTER (WHERE eligible) AS count, last.at, last.id
      FROM page LEFT JOIN last ON true
     GROUP BY event_type, last.at, last.id
"""
COUNT_EVENTS = COUNT_BY_TYPE.format(SELECT_EVENTS)
COUNT_ATTEMPTS = COUNT_BY_TYPE.format(SELECT_ATTEMPTS)


@dataclass(frozen=True, slots=True)
class CountedPage:
    """The eligible candidates of a page, counted by type; `end` is None on the last page."""

    by_type: Counter[str]
    end: Cursor | None


async def count_events(
    db: Connection, tenant_id: TenantId, *, after: Cursor, before: datetime
) -> CountedPage:
    """Count a page of a tenant's events; call after `read_in_order`."""
    return await _count(db, COUNT_EVENTS, tenant_id, after, before)


async def count_exhausted(
    db: Connection,
    webhook_id: WebhookId,
    *,
    after: Cursor,
    before: datetime,
    of_replay: ReplayId | None = None,
) -> CountedPage:
    """Count the exhausted attempts in a page, as `list_attempts`; call after `read_in_order`."""
    return await _count(db, COUNT_ATTEMPTS, webhook_id, after, before, of_replay)


async def _count(
    db: Connection, query: str, owner: UUID, after: Cursor, before: datetime, *others: object
) -> CountedPage:
    rows = await db.fetch(query, owner, after.at, after.id, before, COUNTED_AT_ONCE, *others)
    is_full = bool(rows) and rows[0]["id"] is not None
    end = Cursor(rows[0]["at"], rows[0]["id"]) if is_full else None
    return CountedPage(Counter({row["event_type"]: row["count"] for row in rows}), end)
