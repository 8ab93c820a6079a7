"""
One step of a replay: lock its row, read the next candidates, end it after the last.

The rule: all that a step does is done in one transaction, under the lock of the replay's row, so
that nothing is skipped or made twice, however many daemons take part or die.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from daemon.core.matching.compiler import UnusableFilter
from daemon.core.matching.replay_filter import ReplayFilter, replay_filter_for
from daemon.core.model.cursor import Cursor
from daemon.core.model.ids import ReplayId, TenantId, WebhookId
from daemon.core.model.replays import ReplaySource
from daemon.core.scheduling.replay_pace import Candidate, Outstanding
from daemon.store import earlier_deliveries, replay_candidates, retry_lock
from daemon.store.holds import not_held
from daemon.store.replay_keys import subscription_key
from daemon.store.session import Connection
from daemon.store.webhook_columns import event_types, filters_text

LIST_RUNNING = f"""
    -- Replays of one webhook share its window and gain nothing side by side: only its oldest runs.
    -- The first of each tenant comes before the second of any, and chance decides between equals:
    -- with any limit, and whatever keeps some replays from going on, each has its turn.
    SELECT id, tenant_id
      FROM (SELECT id, tenant_id,
                   row_number() OVER (PARTITION BY tenant_id ORDER BY created_at) AS place
              FROM (SELECT DISTINCT ON (r.webhook_id) r.id, r.tenant_id, r.created_at
                      FROM webhook_replays AS r
                      JOIN webhooks AS w ON w.id = r.webhook_id AND w.is_active
                     WHERE r.status::text = 'running' AND {not_held("w")}
                     ORDER BY r.webhook_id, r.created_at) AS oldest) AS placed
     ORDER BY place, random()
     LIMIT $1
"""  # noqa: S608  made of constants only


async def list_running(db: Connection, *, limit: int) -> dict[ReplayId, TenantId]:
    """
    Return replays that can go on, with their tenants.

    One of each webhook, and none of paused or held ones.
    """
    rows = await db.fetch(LIST_RUNNING, limit)
    return {ReplayId(row["id"]): TenantId(row["tenant_id"]) for row in rows}


@dataclass(frozen=True, slots=True)
class LockedReplay:
    """
    A running replay, locked until the transaction ends.

    It has passed every candidate up to `cursor`, and ends before `to_time`. With an unusable
    `filter` it waits. `failing` says that the endpoint's last attempt failed. `subscription_key`
    stands for the webhook's types and filters, and `subscription_changed` says that they are not
    those of the count any more.
    """

    id: ReplayId
    tenant_id: TenantId
    webhook_id: WebhookId
    source: ReplaySource
    filter: ReplayFilter | UnusableFilter
    cursor: Cursor
    to_time: datetime
    failing: bool
    only_undelivered: bool
    of_replay: ReplayId | None
    subscription_key: str
    subscription_changed: bool


LOCK_REPLAY = f"""
    -- And the webhook's row: otherwise an insert could wait for a deletion of the webhook.
    SELECT r.id, r.tenant_id, r.webhook_id, r.source, r.event_types AS asked, r.to_time,
           r.cursor_time, r.cursor_id, r.only_undelivered, r.of_replay, r.request_key,
           r.subscription_key, w.scope, {event_types("w")}, {filters_text("w")},
           w.consecutive_failures
      FROM webhook_replays AS r
      JOIN webhooks AS w ON w.id = r.webhook_id
     WHERE r.id = $1 AND r.status::text = 'running' AND w.is_active AND {not_held("w")}
       FOR NO KEY UPDATE OF r SKIP LOCKED
       FOR KEY SHARE OF w SKIP LOCKED
"""  # noqa: S608  made of constants only


async def limit_time(db: Connection, most: timedelta) -> None:
    """Bound each of the following statements of this transaction."""
    milliseconds = most // timedelta(milliseconds=1)
    await db.execute(f"SET LOCAL statement_timeout = {milliseconds}")


async def lock(db: Connection, replay_id: ReplayId) -> LockedReplay | None:
    """
    Lock a replay until the transaction ends, and let the transaction read in order.

    Returns None if another transaction holds it or the webhook's chains, if its webhook is paused
    or held, or if it has ended.
    """
    await replay_candidates.read_in_order(db)
    row = await db.fetchrow(LOCK_REPLAY, replay_id)
    if row is None:
        return None
    replay = _locked_replay(row)
    return replay if await retry_lock.try_lock(db, replay.webhook_id) else None


def _locked_replay(row: Any) -> LockedReplay:
    source, types, filters = ReplaySource(row["source"]), row["event_types"], row["event_filters"]
    key = subscription_key(types, filters)
    return LockedReplay(
        id=ReplayId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        webhook_id=WebhookId(row["webhook_id"]),
        source=source,
        filter=replay_filter_for(source, row["asked"], types, filters, scope=row["scope"]),
        cursor=Cursor(row["cursor_time"], row["cursor_id"]),
        to_time=row["to_time"],
        failing=row["consecutive_failures"] > 0,
        only_undelivered=row["only_undelivered"],
        of_replay=None if row["of_replay"] is None else ReplayId(row["of_replay"]),
        subscription_key=key,
        # Replays of earlier versions have no keys.
        subscription_changed=row["request_key"] is not None and row["subscription_key"] != key,
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


async def next_candidates(
    db: Connection, replay: LockedReplay, *, limit: int, kept_for: timedelta
) -> list[Candidate]:
    """
    Return the candidates that follow the replay's cursor; fewer than `limit` are the last.

    Deliveries are `kept_for` so long: of older ones it is unknown whether they succeeded.
    """
    if replay.source is ReplaySource.EXHAUSTED:
        return await replay_candidates.list_attempts(
            db,
            replay.webhook_id,
            after=replay.cursor,
            before=replay.to_time,
            limit=limit,
            of_replay=replay.of_replay,
        )
    events = await replay_candidates.list_events(
        db, replay.tenant_id, after=replay.cursor, before=replay.to_time, limit=limit
    )
    if not replay.only_undelivered or not isinstance(replay.filter, ReplayFilter):
        return events
    wanted = {each.cursor.id for each in events if replay.filter.matches_type(each.event_type)}
    left = await earlier_deliveries.undelivered(db, replay.webhook_id, wanted, kept_for=kept_for)
    return [each if each.cursor.id in left else each.left_out() for each in events]


COMPLETE_REPLAY = """
    UPDATE webhook_replays
       SET status = 'completed', finished_at = now(), total = made,
           reason = CASE WHEN made < total THEN $2 ELSE reason END
     WHERE id = $1
 RETURNING made
"""
FIND_COUNTS = "SELECT made, total FROM webhook_replays WHERE id = $1"


async def counts(db: Connection, replay: LockedReplay) -> tuple[int, int]:
    """How many deliveries a replay has made, and how many it was to make."""
    row = await db.fetchrow(FIND_COUNTS, replay.id)
    return row["made"], row["total"]


async def complete(db: Connection, replay: LockedReplay, *, reason: str) -> int:
    """
    End a replay; its total is now what it has made, and `reason` says why, if that is less.

    Returns how many deliveries it made.
    """
    return int(await db.fetchval(COMPLETE_REPLAY, replay.id, reason))
