"""
Notices about endpoints: written in the transaction of the transition itself, then leased for mail.

A lease moves `due_at` to the time at which the lease expires. That time is also the fence: a daemon
whose lease has expired changes nothing. A notice that was given up has a `due_at` of `infinity`.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from daemon.core.model.ids import NoticeId, TenantId, WebhookId
from daemon.core.model.notices import AttemptSummary, LeasedNotice, Notice, NoticeKind
from daemon.store.columns import columns
from daemon.store.session import Connection

# Deliveries read per notice to find its last attempts.
MAX_DELIVERIES_READ = 1000

WRITE = """
    INSERT INTO webhook_notices (tenant_id, webhook_id, kind, data)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]::jsonb[])
"""


async def write(db: Connection, notices: Sequence[Notice]) -> None:
    """Insert these notices, due at once."""
    rows = [(n.tenant_id, n.webhook_id, n.kind.value, n.data) for n in notices]
    await db.execute(WRITE, *columns(rows))


LEASE_DUE = """
    -- MATERIALIZED fixes the rows first; a bare sub-select may run twice and lease too many.
    WITH due AS MATERIALIZED (
        SELECT id
          FROM webhook_notices
         WHERE sent_at IS NULL AND due_at <= now() AND created_at > now() - $3::interval
           -- Implied by the line above; keeps the scan of the index off notices never mailed.
           AND due_at > now() - $3::interval
           -- A newer daemon may write kinds that this one has no wording for.
           AND kind = ANY ($4::text[])
         ORDER BY due_at
         LIMIT $1
           FOR UPDATE SKIP LOCKED
    )
    UPDATE webhook_notices AS n
       SET due_at = now() + $2
      FROM due, webhooks AS w
     WHERE n.id = due.id AND w.id = n.webhook_id
 RETURNING n.id, n.kind, n.tenant_id, n.webhook_id, n.created_at, n.tries,
           now() AS leased_at, n.due_at AS leased_until,
           coalesce((n.data ->> 'consecutiveFailures')::int, 0) AS failures,
           n.data ->> 'error' AS reason,
           w.name, w.endpoint_url, w.notification_email, w.is_active, w.consecutive_failures,
           w.last_success_at
"""
LAST_ATTEMPTS = """
    SELECT notice.id, last.attempted_at, last.status_code, last.duration_ms, last.error_message
      FROM unnest($1::bigint[], $2::uuid[], $3::timestamptz[])
           AS notice (id, webhook_id, created_at)
      CROSS JOIN LATERAL (
            SELECT *
              FROM (-- Bounded: pending attempts of a large backlog lie between the finished ones.
                    SELECT status, attempted_at, status_code, duration_ms, error_message
                      FROM webhook_deliveries
                     WHERE webhook_id = notice.webhook_id AND attempted_at <= notice.created_at
                     ORDER BY attempted_at DESC
                     LIMIT $4) AS recent
             WHERE status <> 'pending_retry'
             ORDER BY attempted_at DESC
             LIMIT $5) AS last
"""


async def lease_due(
    db: Connection, *, limit: int, lease: timedelta, max_age: timedelta, attempts: int = 5
) -> list[LeasedNotice]:
    """Lease due notices younger than `max_age`, each with the last `attempts` made before it."""
    rows = await db.fetch(LEASE_DUE, limit, lease, max_age, [kind.value for kind in NoticeKind])
    if not rows:
        return []
    leased = {row["id"]: _leased_notice(row) for row in sorted(rows, key=lambda row: row["id"])}
    keys = [(key, notice.webhook_id, notice.created_at) for key, notice in leased.items()]
    found = await db.fetch(LAST_ATTEMPTS, *columns(keys), MAX_DELIVERIES_READ, attempts)
    for row in found:
        notice = leased[row["id"]]
        leased[row["id"]] = replace(notice, attempts=(*notice.attempts, _attempt_summary(row)))
    return list(leased.values())


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
