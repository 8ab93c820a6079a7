"""
One step of a replay: lock its row, read the next candidates, insert their deliveries.

The rule: deliveries are inserted and the replay's cursor moves in one transaction, under the lock
of its row, so that nothing is skipped or made twice, however many daemons take part or die.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from daemon.core.matching.compiler import UnusableFilter
from daemon.core.matching.replay_filter import ReplayFilter, replay_filter_for
from daemon.core.model.cursor import Cursor
from daemon.core.model.ids import ReplayId, TenantId, WebhookId
from daemon.core.model.replays import ReplaySource
from daemon.core.scheduling.replay_pace import Batch, Candidate, Outstanding
from daemon.runtime.uuid7 import new_delivery_id
from daemon.store import replay_candidates, retry_lock
from daemon.store.attempt_chains import NEXT_ATTEMPT_NUMBER
from daemon.store.session import Connection
from daemon.store.webhook_columns import event_types, filters_text

LIST_RUNNING = """
    -- Replays of one webhook share its window and gain nothing side by side: only its oldest runs.
    -- The first of each tenant comes before the second of any, and chance decides between equals:
    -- with any limit, and whatever keeps some replays from going on, each has its turn.
    SELECT id
      FROM (SELECT id, row_number() OVER (PARTITION BY tenant_id ORDER BY created_at) AS place
              FROM (SELECT DISTINCT ON (r.webhook_id) r.id, r.tenant_id, r.created_at
                      FROM webhook_replays AS r
                      JOIN webhooks AS w ON w.id = r.webhook_id AND w.is_active
                     WHERE r.status::text = 'running'
                     ORDER BY r.webhook_id, r.created_at) AS oldest) AS placed
     ORDER BY place, random()
     LIMIT $1
"""


async def list_running(db: Connection, *, limit: int) -> list[ReplayId]:
    """Return replays that can go on: one of each webhook, none of paused webhooks."""
    return [ReplayId(row["id"]) for row in await db.fetch(LIST_RUNNING, limit)]


@dataclass(frozen=True, slots=True)
class LockedReplay:
    """
    A running replay, locked until the transaction ends.

    It has passed every candidate up to `cursor`, and ends before `to_time`. With an unusable
    `filter` it waits. `failing` says that the endpoint's last attempt failed.
    """

    id: ReplayId
    tenant_id: TenantId
    webhook_id: WebhookId
    source: ReplaySource
    filter: ReplayFilter | UnusableFilter
    cursor: Cursor
    to_time: datetime
    failing: bool


LOCK_REPLAY = f"""
    -- And the webhook's row: otherwise an insert could wait for a deletion of the webhook.
    SELECT r.id, r.tenant_id, r.webhook_id, r.source, r.event_types AS asked, r.to_time,
           r.cursor_time, r.cursor_id, {event_types("w")}, {filters_text("w")},
           w.consecutive_failures
      FROM webhook_replays AS r
      JOIN webhooks AS w ON w.id = r.webhook_id
     WHERE r.id = $1 AND r.status::text = 'running' AND w.is_active
       FOR NO KEY UPDATE OF r SKIP LOCKED
       FOR KEY SHARE OF w SKIP LOCKED
"""  # noqa: S608  made of constants only


async def lock(db: Connection, replay_id: ReplayId) -> LockedReplay | None:
    """
    Lock a replay until the transaction ends, and let the transaction read in order.

    Returns None if another transaction holds it, if its webhook is paused, or if it has ended.
    """
    await replay_candidates.read_in_order(db)
    row = await db.fetchrow(LOCK_REPLAY, replay_id)
    if row is None:
        return None
    replay = _locked_replay(row)
    if replay.source is ReplaySource.EXHAUSTED and not await retry_lock.try_lock(
        db, replay.webhook_id
    ):
        return None
    return replay


def _locked_replay(row: Any) -> LockedReplay:
    source = ReplaySource(row["source"])
    return LockedReplay(
        id=ReplayId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        webhook_id=WebhookId(row["webhook_id"]),
        source=source,
        filter=replay_filter_for(source, row["asked"], row["event_types"], row["event_filters"]),
        cursor=Cursor(row["cursor_time"], row["cursor_id"]),
        to_time=row["to_time"],
        failing=row["consecutive_failures"] > 0,
    )


COUNT_OUTSTANDING = """
    -- ORDER BY, so that the index of a replay's due times is read (see `read_in_order`), and not
    -- everything that is pending.
    SELECT count(*) AS pending, min(next_retry_at) AS oldest,
           count(*) FILTER (WHERE leased_until IS NULL OR leased_until < now()) AS waiting
      FROM (SELECT next_retry_at, leased_until
              FROM webhook_deliveries
             WHERE replay_id = $1 AND status::text = 'pending_retry'
               AND next_retry_at >= coalesce($2, '-infinity'::timestamptz)
             ORDER BY next_retry_at) AS made
"""


async def outstanding(
    db: Connection, replay: LockedReplay, *, since: datetime | None
) -> Outstanding:
    """
    Count the replay's pending deliveries that are due at `since` or later.

    `since` spares the query from reading dead index entries of deliveries that have ended; None
    reads from the start.
    """
    row = await db.fetchrow(COUNT_OUTSTANDING, replay.id, since)
    return Outstanding(row["pending"], row["waiting"], row["oldest"])


async def next_candidates(db: Connection, replay: LockedReplay, *, limit: int) -> list[Candidate]:
    """Return the candidates that follow the replay's cursor; fewer than `limit` are the last."""
    if replay.source is ReplaySource.EXHAUSTED:
        return await replay_candidates.list_attempts(
            db, replay.webhook_id, after=replay.cursor, before=replay.to_time, limit=limit
        )
    return await replay_candidates.list_events(
        db, replay.tenant_id, after=replay.cursor, before=replay.to_time, limit=limit
    )


INSERT_FROM_EVENTS = """
    -- The statement's time, not the transaction's: deliveries inserted later under the lock are due
    -- later, so `outstanding` can start from the due time of the earliest pending one.
    INSERT INTO webhook_deliveries
           (id, webhook_id, event_id, event_type, payload, event_created_at, next_retry_at,
            replay_id)
    SELECT new.id, $2, e.id, coalesce(e.event_type, ''), e.event_data, e.created_at,
           statement_timestamp(), $1
      FROM unnest($3::uuid[], $4::uuid[]) AS new (id, event_id)
      JOIN webhook_events AS e ON e.id = new.event_id
       -- An erasure of the event waits, and then sees the new delivery.
       FOR KEY SHARE OF e
"""
INSERT_FROM_EXHAUSTED = f"""
    INSERT INTO webhook_deliveries
           (id, webhook_id, event_id, event_type, payload, event_created_at, next_retry_at,
            replay_id, payload_bytes, attempt_number)
    SELECT new.id, $2, d.event_id, d.event_type, d.payload, d.event_created_at,
           statement_timestamp(), $1, d.payload_bytes, {NEXT_ATTEMPT_NUMBER}
      FROM unnest($3::uuid[], $4::uuid[]) AS new (id, last_id)
      JOIN webhook_deliveries AS d ON d.id = new.last_id
       FOR KEY SHARE OF d
"""  # noqa: S608  made of constants only
INSERT_AND_MOVE_CURSOR = """
    WITH made AS ({}
     RETURNING id
    )
    UPDATE webhook_replays AS r
       SET cursor_time = $5, cursor_id = $6, made = r.made + new.count,
           -- Rows may have been committed since they were counted.
           total = greatest(r.total, r.made + new.count)
      FROM (SELECT count(*) AS count FROM made) AS new
     WHERE r.id = $1
 RETURNING new.count, statement_timestamp() AS due_at
"""
INSERT = {
    ReplaySource.EVENTS: INSERT_AND_MOVE_CURSOR.format(INSERT_FROM_EVENTS),
    ReplaySource.EXHAUSTED: INSERT_AND_MOVE_CURSOR.format(INSERT_FROM_EXHAUSTED),
}


@dataclass(frozen=True, slots=True)
class Inserted:
    """How many deliveries were inserted, and when they are due."""

    count: int
    due_at: datetime


async def insert_deliveries(db: Connection, replay: LockedReplay, batch: Batch) -> Inserted:
    """Insert the deliveries of a batch that is not empty, and move the cursor to its end."""
    assert batch.end is not None
    row = await db.fetchrow(
        INSERT[replay.source],
        *(replay.id, replay.webhook_id, [new_delivery_id() for _ in batch.ids], batch.ids),
        *(batch.end.at, batch.end.id),
    )
    return Inserted(row["count"], row["due_at"])


COMPLETE_REPLAY = """
    UPDATE webhook_replays SET status = 'completed', finished_at = now()
     WHERE id = $1
 RETURNING made, total
"""


async def complete(db: Connection, replay: LockedReplay) -> tuple[int, int]:
    """End a replay; return how many deliveries it made, and how many it was to make."""
    row = await db.fetchrow(COMPLETE_REPLAY, replay.id)
    return row["made"], row["total"]
