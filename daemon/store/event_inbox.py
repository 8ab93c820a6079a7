"""
Committed events that wait to be fanned out.

The rule: every committed event is found, however late and in whatever order it commits. The inbox
holds each event until it is fanned out. A scan reads only the rows that became visible since the
last one; from time to time a full scan finds those that another daemon took and did not finish.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from daemon.core.model.events import Event
from daemon.core.model.ids import EventId, TenantId, WebhookId
from daemon.store.columns import columns
from daemon.store.session import Connection


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot: transactions from `xmax` on, and those in `running`, are invisible in it."""

    xmax: int
    running: tuple[int, ...]


EMPTY_SNAPSHOT = Snapshot(xmax=0, running=())


@dataclass(frozen=True, slots=True)
class InboxBatch:
    """The events of one scan: `count` rows left the inbox, `at` is the transaction's time."""

    events: list[Event]
    count: int
    snapshot: Snapshot
    at: datetime


TAKE_EVENTS = """
    -- Two scans rather than an OR, so that each reads one narrow range of the index even while an
    -- old snapshot somewhere keeps every dead entry before it from being cleaned away.
    WITH fresh AS MATERIALIZED (
        SELECT xid, event_id, webhook_id FROM webhook_event_inbox
         WHERE xid >= $1::text::xid8
         ORDER BY xid, event_id LIMIT $3 FOR UPDATE SKIP LOCKED
    ), late AS MATERIALIZED (
        SELECT xid, event_id, webhook_id FROM webhook_event_inbox
         WHERE xid = ANY ($2::text[]::xid8[])
         ORDER BY xid, event_id LIMIT $3 FOR UPDATE SKIP LOCKED
    ), taken AS MATERIALIZED (
        SELECT * FROM fresh UNION ALL SELECT * FROM late
    ), gone AS (
        DELETE FROM webhook_event_inbox AS i USING taken AS t
         WHERE i.xid = t.xid AND i.event_id = t.event_id AND i.webhook_id = t.webhook_id
    )
    SELECT scan.snapshot, scan.at, taken.event_id IS NOT NULL AS taken,
           nullif(taken.webhook_id, '00000000-0000-0000-0000-000000000000') AS only,
           e.id, e.tenant_id, coalesce(e.event_type, '') AS event_type,
           -- A time that Python cannot represent would stop the whole inbox.
           CASE WHEN e.created_at BETWEEN '0001-01-02' AND '9999-12-30' THEN e.created_at
                ELSE scan.at END AS created_at
      FROM (SELECT pg_current_snapshot()::text AS snapshot, now() AS at) AS scan
      LEFT JOIN taken ON true
      LEFT JOIN webhook_events AS e ON e.id = taken.event_id
"""


async def take_batch(db: Connection, seen: Snapshot, *, limit: int) -> InboxBatch:
    """
    Delete from the inbox, and return, at most `limit` events that were not visible in `seen`.

    A scan that found fewer than `limit` was complete, and its snapshot may serve the next one.
    Events come without data: `stored_events.data_of` reads those that are needed.
    """
    rows = await db.fetch(TAKE_EVENTS, str(seen.xmax), [str(xid) for xid in seen.running], limit)
    events = [
        Event(
            id=EventId(row["id"]),
            tenant_id=TenantId(row["tenant_id"]),
            type=row["event_type"],
            created_at=row["created_at"],
            only=None if row["only"] is None else WebhookId(row["only"]),
        )
        for row in rows
        if row["id"] is not None
    ]
    count = sum(row["taken"] for row in rows)
    return InboxBatch(events, count, _parse_snapshot(rows[0]["snapshot"]), rows[0]["at"])


RETURN_EVENTS = """
    INSERT INTO webhook_event_inbox (event_id, webhook_id)
    SELECT * FROM unnest($1::uuid[], $2::uuid[])
"""


async def return_events(db: Connection, pairs: Sequence[tuple[EventId, WebhookId]]) -> None:
    """Put events back, each for one webhook that is locked now; a later scan finds them."""
    await db.execute(RETURN_EVENTS, *columns(pairs))


def _parse_snapshot(snapshot: str) -> Snapshot:
    """Read `xmin:xmax:xip,xip`, as PostgreSQL prints a pg_snapshot."""
    _, xmax, running = snapshot.split(":")
    return Snapshot(int(xmax), tuple(int(xid) for xid in running.split(",") if xid))
