"""
A replay's next piece: its row is locked, what comes next is read, deliveries are made.

The rule: what is made and up to where the replay has gone change in one transaction, under the lock
of its row, so that nothing is skipped or made twice, however many daemons take part and die.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from daemon.core.matching.compiler import UnusableFilter
from daemon.core.matching.replay_filter import ReplayFilter, replay_filter_for
from daemon.core.model.ids import ReplayId, TenantId, WebhookId
from daemon.core.model.replays import ReplaySource
from daemon.core.scheduling.replay_pace import Candidate, Outstanding, Piece, Position
from daemon.runtime.uuid7 import new_delivery_id
from daemon.store import replay_candidates, retry_lock
from daemon.store.session import Connection

RUNNING = """
    -- Several of one webhook share its places and gain nothing side by side. Of each tenant's the
    -- first comes before anybody's second, and where all is equal chance decides: however many are
    -- asked for, and whatever keeps some of them from going on, every one has its turn.
    SELECT id
      FROM (SELECT id, row_number() OVER (PARTITION BY tenant_id ORDER BY created_at) AS place
              FROM (SELECT DISTINCT ON (r.webhook_id) r.id, r.tenant_id, r.created_at
                      FROM webhook_replays AS r
                      JOIN webhooks AS w ON w.id = r.webhook_id AND w.is_active
                     WHERE r.status = 'running'
                     ORDER BY r.webhook_id, r.created_at) AS oldest) AS placed
     ORDER BY place, random()
     LIMIT $1
"""


async def running(db: Connection, *, limit: int) -> list[ReplayId]:
    """Replays that can go on, one of a webhook: those of paused webhooks wait."""
    return [ReplayId(row["id"]) for row in await db.fetch(RUNNING, limit)]


@dataclass(frozen=True, slots=True)
class Job:
    """A replay as it stands, locked; `choice` may be unusable, and then it waits."""

    id: ReplayId
    tenant_id: TenantId
    webhook_id: WebhookId
    source: ReplaySource
    choice: ReplayFilter | UnusableFilter
    gone_to: Position
    before: datetime
    failing: bool


LOCK = """
    -- The webhook's row too, or inserting for it could wait for whoever is just deleting it.
    SELECT r.id, r.tenant_id, r.webhook_id, r.source, r.event_types AS asked, r.to_time,
           r.cursor_time, r.cursor_id, w.event_types, w.event_filters, w.consecutive_failures
      FROM webhook_replays AS r
      JOIN webhooks AS w ON w.id = r.webhook_id
     WHERE r.id = $1 AND r.status = 'running' AND w.is_active
       FOR NO KEY UPDATE OF r SKIP LOCKED
       FOR KEY SHARE OF w SKIP LOCKED
"""


async def lock(db: Connection, replay_id: ReplayId) -> Job | None:
    """Hold a replay until the transaction ends; None: another does, it waits, or it is over."""
    await replay_candidates.read_in_order(db)
    row = await db.fetchrow(LOCK, replay_id)
    if row is None:
        return None
    job = _job(row)
    if job.source is ReplaySource.EXHAUSTED and not await retry_lock.try_to_hold(
        db, job.webhook_id
    ):
        return None
    return job


def _job(row: Any) -> Job:
    source = ReplaySource(row["source"])
    return Job(
        id=ReplayId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        webhook_id=WebhookId(row["webhook_id"]),
        source=source,
        choice=replay_filter_for(source, row["asked"], row["event_types"], row["event_filters"]),
        gone_to=Position(row["cursor_time"], row["cursor_id"]),
        before=row["to_time"],
        failing=row["consecutive_failures"] > 0,
    )


OUTSTANDING = """
    -- In order for the sake of the index that has it so, and not all that is pending: see `lock`.
    SELECT count(*) AS pending, min(next_retry_at) AS oldest,
           count(*) FILTER (WHERE leased_until IS NULL OR leased_until < now()) AS waiting
      FROM (SELECT next_retry_at, leased_until
              FROM webhook_deliveries
             WHERE replay_id = $1 AND status = 'pending_retry'
               AND next_retry_at >= coalesce($2, '-infinity'::timestamptz)
             ORDER BY next_retry_at) AS made
"""


async def outstanding(db: Connection, job: Job, *, since: datetime | None) -> Outstanding:
    """
    What the replay has made that is not over; call with its row locked.

    `since` spares the look from wading through what was done before; None looks from the start.
    """
    row = await db.fetchrow(OUTSTANDING, job.id, since)
    return Outstanding(row["pending"], row["waiting"], row["oldest"])


async def next_candidates(db: Connection, job: Job, *, limit: int) -> list[Candidate]:
    """What the replay comes by next."""
    if job.source is ReplaySource.EXHAUSTED:
        return await replay_candidates.exhausted(
            db, job.webhook_id, after=job.gone_to, before=job.before, limit=limit
        )
    return await replay_candidates.events(
        db, job.tenant_id, after=job.gone_to, before=job.before, limit=limit
    )


FROM_EVENTS = """
    -- The time of the statement, not of the transaction: what is made later under the lock is due
    -- later, so that a look may begin where the one before it left off.
    WITH made AS (
        INSERT INTO webhook_deliveries
               (id, webhook_id, event_id, event_type, payload, event_created_at, next_retry_at,
                replay_id)
        SELECT new.id, $2, e.id, coalesce(e.event_type, ''), e.event_data, e.created_at,
               statement_timestamp(), $1
          FROM unnest($3::uuid[], $4::uuid[]) AS new (id, event_id)
          JOIN webhook_events AS e ON e.id = new.event_id
           -- Who erases an event waits, and then sees what we made of it.
           FOR KEY SHARE OF e
     RETURNING id
    )
    UPDATE webhook_replays AS r
       SET cursor_time = $5, cursor_id = $6, made = r.made + new.count,
           -- Something may have been committed since it was counted.
           total = greatest(r.total, r.made + new.count)
      FROM (SELECT count(*) AS count FROM made) AS new
     WHERE r.id = $1
 RETURNING new.count, statement_timestamp() AS due
"""
FROM_EXHAUSTED = """
    WITH made AS (
        INSERT INTO webhook_deliveries
               (id, webhook_id, event_id, event_type, payload, event_created_at, next_retry_at,
                replay_id, attempt_number)
        SELECT new.id, $2, d.event_id, d.event_type, d.payload, d.event_created_at,
               statement_timestamp(), $1,
               (SELECT least(max(attempt_number), 2147483646) FROM webhook_deliveries
                 -- A range of keys, as in `candidates`.
                 WHERE (event_id, webhook_id) >= (d.event_id, $2)
                   AND (event_id, webhook_id) <= (d.event_id, $2)) + 1
          FROM unnest($3::uuid[], $4::uuid[]) AS new (id, last_id)
          JOIN webhook_deliveries AS d ON d.id = new.last_id
           FOR KEY SHARE OF d
     RETURNING id
    )
    UPDATE webhook_replays AS r
       SET cursor_time = $5, cursor_id = $6, made = r.made + new.count,
           total = greatest(r.total, r.made + new.count)
      FROM (SELECT count(*) AS count FROM made) AS new
     WHERE r.id = $1
 RETURNING new.count, statement_timestamp() AS due
"""


@dataclass(frozen=True, slots=True)
class Made:
    """How many deliveries were made, and since when they are due."""

    count: int
    due: datetime


async def make(db: Connection, job: Job, piece: Piece) -> Made:
    """Make the piece's deliveries, and go up to its end; call with the replay's row locked."""
    assert piece.reached is not None
    row = await db.fetchrow(
        FROM_EXHAUSTED if job.source is ReplaySource.EXHAUSTED else FROM_EVENTS,
        job.id,
        job.webhook_id,
        [new_delivery_id() for _ in piece.ids],
        piece.ids,
        piece.reached.at,
        piece.reached.id,
    )
    return Made(row["count"], row["due"])


COMPLETE = """
    UPDATE webhook_replays SET status = 'completed', finished_at = now()
     WHERE id = $1
 RETURNING made, total
"""


async def complete(db: Connection, job: Job) -> tuple[int, int]:
    """The replay is over; how many it has made, and how many it was to make."""
    row = await db.fetchrow(COMPLETE, job.id)
    return row["made"], row["total"]
