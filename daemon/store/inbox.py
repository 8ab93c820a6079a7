"""
Committed events that wait to be fanned out.

The rule: what is committed is found, however late and in whatever order it commits. The inbox
holds each event until it is fanned out; a look reads only what became visible since the last one,
and now and then a full look finds what a rival daemon took and did not finish.
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
    """A snapshot: transactions from `xmax` on, and those in `running`, were not visible in it."""

    xmax: int
    running: tuple[int, ...]


EMPTY_SNAPSHOT = Snapshot(xmax=0, running=())


@dataclass(frozen=True, slots=True)
class InboxBatch:
    """What a look found: `count` rows left the inbox, `at` is the transaction's time."""

    events: list[Event]
    count: int
    snapshot: Snapshot
    at: datetime


TAKE = """
    -- Two scans rather than an OR, so that each reads one narrow piece of the index even while an
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
    SELECT look.snapshot, look.at, taken.event_id IS NOT NULL AS taken,
           nullif(taken.webhook_id, '00000000-0000-0000-0000-000000000000') AS only,
           e.id, e.tenant_id, coalesce(e.event_type, '') AS event_type,
           -- A time that no calendar of ours can hold would stop the whole inbox.
           CASE WHEN e.created_at BETWEEN '0001-01-02' AND '9999-12-30' THEN e.created_at
                ELSE look.at END AS created_at
      FROM (SELECT pg_current_snapshot()::text AS snapshot, now() AS at) AS look
      LEFT JOIN taken ON true
      LEFT JOIN webhook_events AS e ON e.id = taken.event_id
"""


async def take(db: Connection, seen: Snapshot, *, limit: int) -> InboxBatch:
    """
    Take events out of the inbox that were not visible in `seen`; the caller's commit makes it so.

    A look that found fewer than `limit` was exhaustive, and its `seen` may serve the next one.
    Their data are left where they are: `data_of` reads those that are needed.
    """
    rows = await db.fetch(TAKE, str(seen.xmax), [str(xid) for xid in seen.running], limit)
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
    return InboxBatch(events, count, _parsed(rows[0]["snapshot"]), rows[0]["at"])


PUT_BACK = """
    INSERT INTO webhook_event_inbox (event_id, webhook_id)
    SELECT * FROM unnest($1::uuid[], $2::uuid[])
"""


async def put_back(db: Connection, pairs: Sequence[tuple[EventId, WebhookId]]) -> None:
    """These webhooks could not be served with these events now: a later look finds them."""
    await db.execute(PUT_BACK, *columns(pairs))


def _parsed(snapshot: str) -> Snapshot:
    """`xmin:xmax:xip,xip` as pg_snapshot prints it."""
    _, xmax, running = snapshot.split(":")
    return Snapshot(int(xmax), tuple(int(xid) for xid in running.split(",") if xid))
