"""
Notices about endpoints: written in the transaction of the transition itself, then leased for mail.

A lease moves `due_at` to the time at which the lease expires. That time is also the fence: a daemon
whose lease has expired changes nothing. A notice that was given up has a `due_at` of `infinity`.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from daemon.core.model.ids import NoticeId, TenantId, WebhookId
from daemon.core.model.notices import AttemptSummary, LeasedNotice, Notice, NoticeKind
from daemon.core.policy.urls import LONGEST_URL
from daemon.store.bounded_texts import bounded
from daemon.store.columns import columns
from daemon.store.session import Connection

# Deliveries read per notice to find its last attempts.
MAX_DELIVERIES_READ = 1000
LONGEST_ERROR = 500  # of an attempt; a mail shows less

WRITE = """
    INSERT INTO webhook_notices (tenant_id, webhook_id, kind, data)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]::jsonb[])
"""


async def write(db: Connection, notices: Sequence[Notice]) -> None:
    """Insert these notices, due at once."""
    rows = [(n.tenant_id, n.webhook_id, n.kind.value, n.data) for n in notices]
    await db.execute(WRITE, *columns(rows))


WITH_WEBHOOKS = f"""
    SELECT n.id, n.kind, n.tenant_id, n.webhook_id, n.created_at, n.tries,
           now() AS leased_at, n.due_at AS leased_until,
           coalesce((n.data ->> 'consecutiveFailures'::text)::int, 0) AS failures,
           n.data ->> 'error'::text AS reason,
           w.name, left(w.endpoint_url, {LONGEST_URL}) AS endpoint_url, w.notification_email,
           w.unconfirmed_email, w.is_active, w.consecutive_failures, w.last_success_at
      FROM found AS n
      JOIN webhooks AS w ON w.id = n.webhook_id
     ORDER BY n.id
"""  # noqa: S608  LONGEST_URL is a constant

FIND_DUE = f"""
    -- MATERIALIZED fixes the rows first: webhooks are looked up for these only.
    WITH found AS MATERIALIZED (
        SELECT *
          FROM webhook_notices
         WHERE sent_at IS NULL AND due_at <= now() AND created_at > now() - $2::interval
           -- Implied by the line above; keeps the scan of the index off notices never mailed.
           AND due_at > now() - $2::interval
           -- A newer daemon may write kinds that this one has no wording for.
           AND kind::text = ANY ($3::text[])
         ORDER BY due_at
         LIMIT $1
    )
    {WITH_WEBHOOKS}
"""  # noqa: S608  WITH_WEBHOOKS is a constant


async def find_due(db: Connection, *, limit: int, max_age: timedelta) -> list[LeasedNotice]:
    """Up to `limit` due notices younger than `max_age`, in their order; `lease` leases them."""
    rows = await db.fetch(FIND_DUE, limit, max_age, [kind.value for kind in NoticeKind])
    return [_leased_notice(row) for row in rows]


FIND_WAITING = f"""
    WITH found AS MATERIALIZED (
        SELECT *
          FROM webhook_notices
         WHERE webhook_id = ANY ($1::uuid[]) AND created_at > now() - $2::interval
           AND sent_at IS NULL AND due_at > now() AND due_at < 'infinity'
           AND kind::text = ANY ($3::text[])
         ORDER BY created_at
         LIMIT $4
    )
    {WITH_WEBHOOKS}
"""  # noqa: S608  WITH_WEBHOOKS is a constant


async def find_waiting(
    db: Connection, webhooks: Collection[WebhookId], *, limit: int, max_age: timedelta
) -> list[LeasedNotice]:
    """
    Up to `limit` notices of these webhooks that were put off, in their order.

    Those that another daemon leases are among them: call it for webhooks whose recipient no other
    daemon is mailing.
    """
    kinds = [kind.value for kind in NoticeKind]
    rows = await db.fetch(FIND_WAITING, list(webhooks), max_age, kinds, limit)
    return [_leased_notice(row) for row in rows]


LEASE = """
    -- A notice that another transaction holds is left to a later mail.
    WITH free AS MATERIALIZED (
        SELECT n.id
          FROM unnest($1::bigint[], $2::timestamptz[]) AS found (id, due_at)
          JOIN webhook_notices AS n ON n.id = found.id AND n.due_at = found.due_at
         WHERE n.sent_at IS NULL
           FOR UPDATE OF n SKIP LOCKED
    )
    UPDATE webhook_notices AS n
       SET due_at = now() + $3::interval
      FROM free
     WHERE n.id = free.id
 RETURNING n.id, n.due_at
"""


async def lease(
    db: Connection, found: Sequence[LeasedNotice], *, lease: timedelta
) -> list[LeasedNotice]:
    """
    Lease notices as they were found.

    Missing from the result are those that another daemon or transaction holds.
    """
    if not found:
        return []
    keys = columns([(notice.id, notice.leased_until) for notice in found])
    until = {row["id"]: row["due_at"] for row in await db.fetch(LEASE, *keys, lease)}
    return [
        replace(notice, leased_until=until[notice.id]) for notice in found if notice.id in until
    ]


PUT_OFF = """
    UPDATE webhook_notices AS n
       SET due_at = later.due_at
      FROM (SELECT id, new.due_at
              FROM unnest($1::bigint[], $2::timestamptz[]) AS new (id, due_at)
              JOIN webhook_notices USING (id)
             WHERE sent_at IS NULL AND webhook_notices.due_at <= now()
               FOR UPDATE OF webhook_notices SKIP LOCKED) AS later
     WHERE n.id = later.id
"""


async def put_off(db: Connection, due: Sequence[tuple[LeasedNotice, datetime]]) -> None:
    """Make due notices due at these times instead."""
    if due:
        await db.execute(PUT_OFF, *columns([(notice.id, until) for notice, until in due]))


LAST_ATTEMPTS = f"""
    SELECT attempted_at, status_code, duration_ms,
           {bounded("error_message", LONGEST_ERROR)} AS error_message
      FROM (-- Bounded: pending attempts of a large backlog lie between the finished ones.
            SELECT status, attempted_at, status_code, duration_ms, error_message
              FROM webhook_deliveries
             WHERE webhook_id = $1 AND attempted_at <= $2
             ORDER BY attempted_at DESC
             LIMIT $3) AS recent
     WHERE status::text <> 'pending_retry'
     ORDER BY attempted_at DESC
     LIMIT $4
"""  # noqa: S608  made of constants only


async def with_attempts(db: Connection, notice: LeasedNotice, *, attempts: int = 5) -> LeasedNotice:
    """The notice with the last `attempts` made before it."""
    found = await db.fetch(
        LAST_ATTEMPTS, notice.webhook_id, notice.created_at, MAX_DELIVERIES_READ, attempts
    )
    return replace(notice, attempts=tuple(_attempt_summary(row) for row in found))


def _leased_notice(row: Any) -> LeasedNotice:
    return LeasedNotice(
        id=NoticeId(row["id"]),
        kind=NoticeKind(row["kind"]),
        tenant_id=TenantId(row["tenant_id"]),
        webhook_id=WebhookId(row["webhook_id"]),
        created_at=row["created_at"],
        tries=row["tries"],
        leased_at=row["leased_at"],
        leased_until=row["leased_until"],
        failures=row["failures"],
        reason=row["reason"],
        webhook_name=row["name"],
        endpoint_url=row["endpoint_url"],
        notification_email=row["notification_email"],
        unconfirmed_email=row["unconfirmed_email"],
        is_active=row["is_active"],
        consecutive_failures=row["consecutive_failures"],
        last_success_at=row["last_success_at"],
    )


def _attempt_summary(row: Any) -> AttemptSummary:
    return AttemptSummary(
        row["attempted_at"], row["status_code"], row["duration_ms"], row["error_message"]
    )


RELEASE = """
    UPDATE webhook_notices AS n
       SET due_at = now()
      FROM unnest($1::bigint[], $2::timestamptz[]) AS held (id, leased_until)
     WHERE n.id = held.id AND n.due_at = held.leased_until AND n.sent_at IS NULL
"""


async def release(db: Connection, leased: Sequence[LeasedNotice]) -> None:
    """Give back leased notices that were not mailed; they are due again at once."""
    if leased:
        await db.execute(RELEASE, *columns([(n.id, n.leased_until) for n in leased]))
