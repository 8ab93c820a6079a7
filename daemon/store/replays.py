"""
Replays as people manage them: scoped, created, read, cancelled.

A replay is a row that says what is sent again and how far the daemons have come; `replay_steps`
carries it on.
"""

from typing import Any

from daemon.core.matching.compiler import UnusableFilter
from daemon.core.matching.replay_filter import ReplayFilter, replay_filter_for
from daemon.core.model.cursor import LAST_ID, cursor_before
from daemon.core.model.ids import ReplayId, TenantId, WebhookId
from daemon.core.model.replays import (
    CountedReplay,
    Replay,
    ReplayRequest,
    ReplayScope,
    ReplaySource,
    ReplayStatus,
)
from daemon.store import replay_candidates
from daemon.store.session import Connection
from daemon.store.webhook_columns import event_types, filters_text

FIND_SCOPE = f"""
    -- A window ends now at the latest, or a replay would never end. It begins at the earliest on
    -- the first day that every calendar involved can represent.
    SELECT w.tenant_id, {event_types("w")}, {filters_text("w")},
           greatest($3, '0001-01-02 00:00:00+00'::timestamptz) AS from_time,
           least($4, now()) AS to_time
      FROM webhooks AS w
     WHERE w.id = $1 AND ($2::uuid IS NULL OR w.tenant_id = $2)
"""  # noqa: S608  made of constants only


async def scope_of(
    db: Connection, request: ReplayRequest
) -> tuple[ReplayScope, ReplayFilter | UnusableFilter] | None:
    """Return the scope and the filter of a replay; None if the tenant has no such webhook."""
    row = await db.fetchrow(
        FIND_SCOPE, request.webhook_id, request.tenant_id, request.from_time, request.to_time
    )
    if row is None:
        return None
    scope = ReplayScope(
        tenant_id=TenantId(row["tenant_id"]),
        webhook_id=request.webhook_id,
        source=request.source,
        from_time=row["from_time"],
        to_time=row["to_time"],
        event_types=request.event_types,
    )
    replay_filter = replay_filter_for(
        request.source, request.event_types, row["event_types"], row["event_filters"]
    )
    return scope, replay_filter


CREATE_REPLAY = """
    INSERT INTO webhook_replays
           (tenant_id, webhook_id, source, from_time, to_time, event_types, total,
            cursor_time, cursor_id)
    SELECT tenant_id, id, $3, $4, $5, $6, $7, $8, $9
      FROM webhooks
     WHERE id = $1 AND tenant_id = $2
       FOR KEY SHARE -- a deletion of the webhook that is under way goes first
 RETURNING id
"""


async def create(db: Connection, counted: CountedReplay) -> ReplayId | None:
    """Create a replay of a counted scope; return None if its webhook is gone."""
    scope = counted.scope
    start = cursor_before(scope.from_time)
    created = await db.fetchval(
        CREATE_REPLAY,
        *(scope.webhook_id, scope.tenant_id, scope.source.value, scope.from_time, scope.to_time),
        *(scope.event_types, counted.total, start.at, start.id),
    )
    return None if created is None else ReplayId(created)


GET_REPLAYS = """
    SELECT r.id, r.tenant_id, r.webhook_id, source, from_time, to_time, r.event_types, status,
           total, r.created_at, finished_at, status::text = 'running' AND NOT w.is_active AS paused,
           status::text <> 'running' OR cursor_id <> $3 AS begun,
           -- A delivery that waits for its first attempt is still in the index of its replay.
           CASE WHEN status::text = 'completed' THEN made
                ELSE made - (SELECT count(*) FROM webhook_deliveries
                              WHERE replay_id = r.id AND status::text = 'pending_retry') END AS sent
      FROM webhook_replays AS r
      JOIN webhooks AS w ON w.id = r.webhook_id
     WHERE r.id = ANY ($1::uuid[]) AND ($2::uuid IS NULL OR r.tenant_id = $2)
     ORDER BY r.created_at DESC
"""


async def get(db: Connection, tenant_id: TenantId | None, replay_id: ReplayId) -> Replay | None:
    """
    Return a replay with its progress; None if the tenant has none of this id.

    A `tenant_id` of None stands for any tenant.
    """
    row = await db.fetchrow(GET_REPLAYS, [replay_id], tenant_id, LAST_ID)
    return None if row is None else _replay(row)


FIND_NEWEST = """
    SELECT id FROM webhook_replays WHERE webhook_id = $1 ORDER BY created_at DESC LIMIT $2
"""


async def list_for(
    db: Connection, tenant_id: TenantId | None, webhook_id: WebhookId, *, limit: int = 50
) -> list[Replay]:
    """Return a webhook's replays, newest first; none if it belongs to another tenant."""
    newest = [row["id"] for row in await db.fetch(FIND_NEWEST, webhook_id, limit)]
    return [_replay(row) for row in await db.fetch(GET_REPLAYS, newest, tenant_id, LAST_ID)]


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


CANCEL_REPLAY = """
    UPDATE webhook_replays
       SET status = 'cancelled', finished_at = now()
     WHERE id = $1 AND ($2::uuid IS NULL OR tenant_id = $2) AND status::text = 'running'
"""
DELETE_UNATTEMPTED = """
    -- A statement of its own: it sees the deliveries made while the one before waited for the lock.
    -- A delivery with a lease, lapsed or not, was attempted; a locked one is just being claimed.
    WITH unattempted AS MATERIALIZED (
        SELECT id
          FROM webhook_deliveries
         WHERE replay_id = $1 AND status::text = 'pending_retry' AND leased_until IS NULL
         ORDER BY next_retry_at
           FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM webhook_deliveries AS d
         USING unattempted
         WHERE d.id = unattempted.id AND d.status::text = 'pending_retry'
     RETURNING d.id
    )
    UPDATE webhook_replays
       SET made = made - (SELECT count(*) FROM deleted)
     WHERE id = $1
"""


async def cancel(db: Connection, tenant_id: TenantId | None, replay_id: ReplayId) -> Replay | None:
    """
    Cancel a running replay, and delete its deliveries that were not attempted yet.

    Call in a transaction. Attempts in flight go on. Returns the replay as it is now; None if the
    tenant has none of this id.
    """
    cancelled = await db.execute(CANCEL_REPLAY, replay_id, tenant_id)
    if cancelled == "UPDATE 1":
        await replay_candidates.read_in_order(db)
        await db.execute(DELETE_UNATTEMPTED, replay_id)
    return await get(db, tenant_id, replay_id)
