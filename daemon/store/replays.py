"""
Replays as people ask for them: counted, begun, looked at, cancelled.

A replay is a row that says what is to be sent again and up to where it has gone; how it goes on is
in `chunks`.
"""

from typing import Any

from daemon.core.model.ids import ReplayId, TenantId, WebhookId
from daemon.core.model.replays import CountedReplay, Replay, ReplaySource, ReplayStatus
from daemon.core.scheduling.replay_pace import LAST_ID, MOMENT
from daemon.store import replay_candidates
from daemon.store.session import Connection

BOUND = """
    -- What is still to come is not replayed, or a replay would never end. The other bound is the
    -- first day that every calendar of ours can hold.
    SELECT tenant_id, event_types, event_filters,
           greatest($3, '0001-01-02 00:00:00+00'::timestamptz) AS from_time,
           least($4, now()) AS to_time
      FROM webhooks
     WHERE id = $1 AND ($2::uuid IS NULL OR tenant_id = $2)
"""


CREATE = """
    INSERT INTO webhook_replays
           (tenant_id, webhook_id, source, from_time, to_time, event_types, total,
            cursor_time, cursor_id)
    SELECT tenant_id, id, $3, $4, $5, $6, $7, $8, $9
      FROM webhooks
     WHERE id = $1 AND tenant_id = $2
       FOR KEY SHARE -- whoever is just deleting it goes first
 RETURNING id
"""


async def create(db: Connection, counted: CountedReplay) -> ReplayId | None:
    """Begin a replay of what was counted; None: its webhook is gone."""
    wanted = counted.wanted
    created = await db.fetchval(
        CREATE,
        wanted.webhook_id,
        wanted.tenant_id,
        wanted.source.value,
        wanted.from_time,
        wanted.to_time,
        wanted.event_types,
        counted.total,
        wanted.from_time - MOMENT,
        LAST_ID,
    )
    return None if created is None else ReplayId(created)


GET = """
    SELECT r.id, r.tenant_id, r.webhook_id, source, from_time, to_time, r.event_types, status,
           total, r.created_at, finished_at, status = 'running' AND NOT w.is_active AS paused,
           status <> 'running' OR cursor_id <> $3 AS begun,
           -- A delivery that waits for its first attempt still is one of the index of its replay.
           CASE WHEN status = 'completed' THEN made
                ELSE made - (SELECT count(*) FROM webhook_deliveries
                              WHERE replay_id = r.id AND status = 'pending_retry') END AS sent
      FROM webhook_replays AS r
      JOIN webhooks AS w ON w.id = r.webhook_id
     WHERE r.id = ANY ($1::uuid[]) AND ($2::uuid IS NULL OR r.tenant_id = $2)
     ORDER BY r.created_at DESC
"""


async def get(db: Connection, tenant_id: TenantId | None, replay_id: ReplayId) -> Replay | None:
    """How far a replay is; None: the tenant has none of this id. A tenant of None is everybody."""
    row = await db.fetchrow(GET, [replay_id], tenant_id, LAST_ID)
    return None if row is None else _replay(row)


NEWEST = "SELECT id FROM webhook_replays WHERE webhook_id = $1 ORDER BY created_at DESC LIMIT $2"


async def list_for(
    db: Connection, tenant_id: TenantId | None, webhook_id: WebhookId, *, limit: int = 50
) -> list[Replay]:
    """A webhook's replays, newest first; none if it is another tenant's."""
    newest = [row["id"] for row in await db.fetch(NEWEST, webhook_id, limit)]
    return [_replay(row) for row in await db.fetch(GET, newest, tenant_id, LAST_ID)]


def _replay(row: Any) -> Replay:
    types = row["event_types"]
    return Replay(
        id=ReplayId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        webhook_id=WebhookId(row["webhook_id"]),
        source=ReplaySource(row["source"]),
        from_time=row["from_time"],
        to_time=row["to_time"],
        event_types=None if types is None else tuple(types),
        status=ReplayStatus(row["status"]),
        total=row["total"],
        sent=row["sent"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
        begun=row["begun"],
        paused=row["paused"],
    )


CANCEL = """
    UPDATE webhook_replays
       SET status = 'cancelled', finished_at = now()
     WHERE id = $1 AND ($2::uuid IS NULL OR tenant_id = $2) AND status = 'running'
"""
TAKE_BACK = """
    -- A statement of its own: it sees what was made while the one before it waited for the lock.
    -- What bears a lease, lapsed or not, was begun, and what is locked is just being claimed.
    WITH unbegun AS MATERIALIZED (
        SELECT id
          FROM webhook_deliveries
         WHERE replay_id = $1 AND status = 'pending_retry' AND leased_until IS NULL
         ORDER BY next_retry_at
           FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM webhook_deliveries AS d
         USING unbegun
         WHERE d.id = unbegun.id
     RETURNING d.id
    )
    UPDATE webhook_replays
       SET made = made - (SELECT count(*) FROM gone)
     WHERE id = $1
"""


async def cancel(db: Connection, tenant_id: TenantId | None, replay_id: ReplayId) -> Replay | None:
    """
    Stop a replay, and take back what it made and nobody has begun; one that is over stays so.

    Call in a transaction. What is in flight goes on. Returns what has become of it; None: the
    tenant has none of this id.
    """
    cancelled = await db.execute(CANCEL, replay_id, tenant_id)
    if cancelled == "UPDATE 1":
        await replay_candidates.read_in_order(db)
        await db.execute(TAKE_BACK, replay_id)
    return await get(db, tenant_id, replay_id)
