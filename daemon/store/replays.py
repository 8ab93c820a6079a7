"""
Replays as people manage them: scoped, created, read, cancelled.

A replay is a row that says what is sent again and how far the daemons have come; `replay_steps`
carries it on.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from daemon.core.matching.compiler import UnusableFilter
from daemon.core.matching.replay_filter import ReplayFilter, replay_filter_for
from daemon.core.model.cursor import LAST_ID, Cursor, cursor_before
from daemon.core.model.ids import ReplayId, TenantId, WebhookId
from daemon.core.model.replays import (
    CountedReplay,
    Replay,
    ReplayRequest,
    ReplayScope,
    ReplaySource,
    ReplayStatus,
)
from daemon.store import notification_queue, replay_candidates
from daemon.store.attempt_chains import SAME_PENDING
from daemon.store.replay_keys import hashed, subscription_key
from daemon.store.session import Connection
from daemon.store.webhook_columns import event_types, filters_text

FIND_SCOPE = f"""
    -- A window ends now at the latest, or a replay would never end. It begins at the earliest on
    -- the first day that every calendar involved can represent.
    SELECT w.tenant_id, w.scope, {event_types("w")}, {filters_text("w")},
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
    types, filters = row["event_types"], row["event_filters"]
    scope = ReplayScope(
        tenant_id=TenantId(row["tenant_id"]),
        webhook_id=request.webhook_id,
        source=request.source,
        from_time=row["from_time"],
        to_time=row["to_time"],
        event_types=request.event_types,
        only_undelivered=request.only_undelivered,
        of_replay=request.of_replay,
        open_ended=request.to_time is None,
        subscription_key=subscription_key(types, filters),
    )
    asked, events = request.event_types, row["scope"]
    return scope, replay_filter_for(request.source, asked, types, filters, scope=events)


COUNT_RUNNING = """
    SELECT count(*)
      FROM (SELECT 1 FROM webhook_replays
             WHERE webhook_id = $1 AND status::text = 'running'
             LIMIT $2) AS running
"""


async def count_running(db: Connection, webhook_id: WebhookId, *, limit: int) -> int:
    """How many replays to this webhook run, or wait for an earlier one; counts up to `limit`."""
    return int(await db.fetchval(COUNT_RUNNING, webhook_id, limit))


CREATE_REPLAY = """
    INSERT INTO webhook_replays
           (tenant_id, webhook_id, source, from_time, to_time, event_types, total,
            cursor_time, cursor_id, only_undelivered, of_replay, request_key, subscription_key,
            reason, delivered, failed, changed)
    SELECT tenant_id, id, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, 0, 0
      FROM webhooks
     WHERE id = $1 AND tenant_id = $2
       FOR KEY SHARE -- a deletion of the webhook that is under way goes first
        ON CONFLICT (webhook_id, request_key) WHERE status::text = 'running' DO NOTHING
 RETURNING id
"""
FIND_IDENTICAL = """
    SELECT id FROM webhook_replays
     WHERE webhook_id = $1 AND request_key = $2 AND status::text = 'running'
"""
TRIES = 3  # the identical one may end just when it is in the way


@dataclass(frozen=True, slots=True)
class AlreadyRunning:
    """The same was asked for before, by a replay that still runs; nothing was changed."""

    replay_id: ReplayId


async def create(
    db: Connection, counted: CountedReplay, *, reason: str | None = None
) -> ReplayId | AlreadyRunning | None:
    """
    Create a replay of a counted scope; return None if its webhook is gone.

    `reason` says why there is nothing to send. Of requests for the same that come together, one
    creates the replay.
    """
    scope = counted.scope
    start, key = cursor_before(scope.from_time), _request_key(scope)
    for _ in range(TRIES):
        created = await db.fetchval(
            CREATE_REPLAY,
            *(scope.webhook_id, scope.tenant_id, scope.source.value),
            *(scope.from_time, scope.to_time, scope.event_types, counted.total),
            *(start.at, start.id, scope.only_undelivered, scope.of_replay),
            *(key, scope.subscription_key, reason),
        )
        if created is not None:
            await notification_queue.notify_replay(db)
            return ReplayId(created)
        running = await db.fetchval(FIND_IDENTICAL, scope.webhook_id, key)
        if running is not None:
            return AlreadyRunning(ReplayId(running))
    return None


def _request_key(scope: ReplayScope) -> str:
    """The same for requests that ask for the same; their webhooks are compared beside it."""
    return hashed(
        scope.source.value,
        scope.from_time.isoformat(),
        "" if scope.open_ended else scope.to_time.isoformat(),
        str(scope.only_undelivered),
        str(scope.of_replay),
        *sorted(set(scope.event_types or ())),
    )


GET_REPLAYS = """
    SELECT r.id, r.tenant_id, r.webhook_id, w.name AS webhook_name, source, from_time, to_time,
           r.event_types, status, r.only_undelivered, r.of_replay, r.changed, r.reason,
           r.created_at, finished_at, status::text = 'running' AND NOT w.is_active AS paused,
           status::text <> 'running' OR cursor_id <> $3 AS begun,
           r.total - ended.erased AS total, r.made - ended.erased AS made,
           r.delivered + ended.delivered AS delivered, r.failed + ended.failed AS failed,
           -- A delivery that waits for its first attempt is still in the index of its replay.
           CASE WHEN status::text = 'completed' THEN 0
                ELSE (SELECT count(*) FROM webhook_deliveries
                       WHERE replay_id = r.id AND status::text = 'pending_retry') END AS unsent
      FROM webhook_replays AS r
      JOIN webhooks AS w ON w.id = r.webhook_id
     CROSS JOIN LATERAL (
            SELECT coalesce(sum(delivered), 0) AS delivered, coalesce(sum(failed), 0) AS failed,
                   coalesce(sum(erased), 0) AS erased
              FROM webhook_replay_results
             WHERE replay_id = r.id) AS ended
     WHERE r.id = ANY ($1::uuid[]) AND ($2::uuid IS NULL OR r.tenant_id = $2)
     ORDER BY r.created_at DESC, r.id DESC
"""


async def get(db: Connection, tenant_id: TenantId | None, replay_id: ReplayId) -> Replay | None:
    """
    Return a replay with its progress; None if the tenant has none of this id.

    A `tenant_id` of None stands for any tenant.
    """
    row = await db.fetchrow(GET_REPLAYS, [replay_id], tenant_id, LAST_ID)
    return None if row is None else _replay(row)


FIND_PAGE = """
    -- A tenant has few webhooks; each one's newest replays come from an index.
    SELECT r.id, r.created_at
      FROM webhooks AS w
     CROSS JOIN LATERAL (
            SELECT id, created_at
              FROM webhook_replays
             WHERE webhook_id = w.id AND created_at <= $3 AND (created_at, id) < ($3, $4)
             ORDER BY created_at DESC, id DESC
             LIMIT $5) AS r
     WHERE w.tenant_id = $1 AND ($2::uuid IS NULL OR w.id = $2)
       AND ($6 OR w.scope::text <> 'operator')
     ORDER BY r.created_at DESC, r.id DESC
     LIMIT $5
"""


async def list_page(
    db: Connection,
    tenant_id: TenantId,
    *,
    webhook_id: WebhookId | None = None,
    before: Cursor,
    limit: int,
    for_operators: bool = True,
) -> tuple[list[Replay], Cursor | None]:
    """
    Return a page of replays, newest first, and the cursor of the next page: of a webhook, or of all
    webhooks of the tenant. Unless it is `for_operators`, those of operators' webhooks are left out.
    """
    keys = await db.fetch(
        FIND_PAGE, tenant_id, webhook_id, before.at, before.id, limit + 1, for_operators
    )
    page = keys[:limit]
    rows = await db.fetch(GET_REPLAYS, [row["id"] for row in page], tenant_id, LAST_ID)
    following = Cursor(page[-1]["created_at"], page[-1]["id"]) if len(keys) > limit else None
    return [_replay(row) for row in rows], following


FIND_CURSOR = "SELECT created_at FROM webhook_replays WHERE id = $1 AND tenant_id = $2"


async def cursor_of(db: Connection, tenant_id: TenantId, replay_id: UUID) -> Cursor | None:
    """Return the cursor of the page that follows this replay; None if there is no such replay."""
    at = await db.fetchval(FIND_CURSOR, replay_id, tenant_id)
    return None if at is None else Cursor(at, replay_id)


def _replay(row: Any) -> Replay:
    types, status = row["event_types"], ReplayStatus(row["status"])
    total, made = row["total"], row["made"]
    delivered, failed = row["delivered"], row["failed"]
    ends = made if status is ReplayStatus.CANCELLED else total
    return Replay(
        id=ReplayId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        webhook_id=WebhookId(row["webhook_id"]),
        webhook_name=row["webhook_name"],
        source=ReplaySource(row["source"]),
        from_time=row["from_time"],
        to_time=row["to_time"],
        event_types=None if types is None else tuple(types),
        only_undelivered=row["only_undelivered"],
        of_replay=None if row["of_replay"] is None else ReplayId(row["of_replay"]),
        status=status,
        total=total,
        sent=made - row["unsent"],
        delivered=delivered,
        failed=failed,
        waiting=None if delivered is None else max(0, ends - delivered - failed),
        changed=row["changed"] or 0,
        reason=row["reason"],
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
DELETE_UNATTEMPTED = f"""
    -- A statement of its own: it sees the deliveries made while the one before waited for the lock.
    -- A delivery with a lease, lapsed or not, was attempted; a locked one is just being claimed.
    -- One that was brought forward is due without the replay, too.
    WITH unattempted AS MATERIALIZED (
        SELECT id, webhook_id
          FROM webhook_deliveries
         WHERE replay_id = $1 AND status::text = 'pending_retry' AND leased_until IS NULL
           AND brought_forward IS NOT TRUE
         ORDER BY next_retry_at
           FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM webhook_deliveries AS d
         USING unattempted
         WHERE {SAME_PENDING.format(row="d", id="unattempted.id")}
           AND d.webhook_id IS NOT DISTINCT FROM unattempted.webhook_id
     RETURNING d.id
    )
    UPDATE webhook_replays
       SET made = made - (SELECT count(*) FROM deleted)
     WHERE id = $1
"""  # noqa: S608  made of constants only


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
