"""
What a replay may send: stored events, or deliveries that were given up; in order, and in pages.

The rule: no statement reads much more than a page, whatever the window holds.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from daemon.choice import Choice
from daemon.matching import parsed
from daemon.model import EventId, TenantId, WebhookId
from daemon.pacing import Candidate, Position
from daemon.store.database import Connection
from daemon.store.events import data_of

DATA_READ_AT_ONCE = 50  # an event may hold megabytes
COUNTED_AT_ONCE = 100_000  # or as many as come in an hour
SHORTEST_SPAN = timedelta(hours=1)
FIRST_SPAN = timedelta(days=1)

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
                WHERE other.event_id = page.event_id AND other.webhook_id = $1
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


async def wanted_among(
    db: Connection, candidates: Sequence[Candidate], choice: Choice
) -> set[UUID]:
    """The ids of those that are to be sent; data are read only where they decide."""
    fitting = [
        each.position.id for each in candidates if each.fits and choice.takes(each.event_type)
    ]
    if not choice.needs_data:
        return set(fitting)
    wanted: set[UUID] = set()
    for start in range(0, len(fitting), DATA_READ_AT_ONCE):
        some = [EventId(each) for each in fitting[start : start + DATA_READ_AT_ONCE]]
        data = await data_of(db, some)
        wanted |= {each for each, text in data.items() if choice.meets(parsed(text))}
    return wanted


FIRST_EVENT = """
    SELECT greatest(min(created_at), $2)
      FROM webhook_events
     WHERE tenant_id = $1
    HAVING min(created_at) IS NOT NULL
"""
EVENTS_BY_TYPE = """
    SELECT coalesce(event_type, '') AS event_type, count(*) AS count
      FROM webhook_events
     WHERE tenant_id = $1 AND created_at >= $2 AND created_at < $3
     GROUP BY 1
"""


async def events_by_type(
    db: Connection, tenant_id: TenantId, *, since: datetime, before: datetime
) -> Counter[str]:
    """How many events of each type a tenant has of this time."""
    first = await db.fetchval(FIRST_EVENT, tenant_id, since)
    return await _by_type(db, EVENTS_BY_TYPE, tenant_id, since=first, before=before)


FIRST_ATTEMPT = """
    SELECT greatest(min(attempted_at), $2)
      FROM webhook_deliveries
     WHERE webhook_id = $1
    HAVING min(attempted_at) IS NOT NULL
"""
EXHAUSTED_BY_TYPE = """
    SELECT coalesce(event_type, '') AS event_type, count(*) AS count
      FROM webhook_deliveries AS d
     WHERE webhook_id = $1 AND attempted_at >= $2 AND attempted_at < $3 AND status = 'failed'
       AND NOT EXISTS (
               SELECT
                 FROM webhook_deliveries AS other
                WHERE other.event_id = d.event_id AND other.webhook_id = $1
                  AND (other.status <> 'failed'
                       OR (other.attempted_at, other.id) > (d.attempted_at, d.id)))
     GROUP BY 1
"""


async def exhausted_by_type(
    db: Connection, webhook_id: WebhookId, *, since: datetime, before: datetime
) -> Counter[str]:
    """How many deliveries of each type a webhook has that were given up in this time."""
    first = await db.fetchval(FIRST_ATTEMPT, webhook_id, since)
    return await _by_type(db, EXHAUSTED_BY_TYPE, webhook_id, since=first, before=before)


async def _by_type(
    db: Connection, query: str, whose: UUID, *, since: datetime | None, before: datetime
) -> Counter[str]:
    """Count span by span, each as long as the last one allows."""
    total: Counter[str] = Counter()
    span = FIRST_SPAN
    while since is not None and since < before:
        until = min(before, since + span)
        counts = Counter(dict(await db.fetch(query, whose, since, until)))
        total += counts
        span = span * 2 if counts.total() < COUNTED_AT_ONCE else max(span / 2, SHORTEST_SPAN)
        since = until
    return total
