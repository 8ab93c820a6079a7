"""
What the administrator is to be told; written in the transaction that makes it true.

A notice is mailed by whoever leases it, by moving `due_at` to when the lease lapses. That time is
also the fence: who no longer holds the lease changes nothing. `infinity` is a notice given up.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from daemon.core.model.ids import NoticeId, TenantId, WebhookId
from daemon.core.model.notices import DueNotice, Notice, NoticeKind, PastAttempt
from daemon.store.session import Connection

LOOKED_THROUGH = 1000


WRITE = """
    INSERT INTO webhook_notices (tenant_id, webhook_id, kind, data)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]::jsonb[])
"""


async def write(db: Connection, notices: Sequence[Notice]) -> None:
    await db.execute(
        WRITE,
        [n.tenant_id for n in notices],
        [n.webhook_id for n in notices],
        [n.kind.value for n in notices],
        [n.data for n in notices],
    )


LEASE_DUE = """
    -- MATERIALIZED fixes the rows first; a bare sub-select may run twice and lease too many.
    WITH due AS MATERIALIZED (
        SELECT id
          FROM webhook_notices
         WHERE sent_at IS NULL AND due_at <= now() AND created_at > now() - $3::interval
           -- Follows from the line above, and spares the index all that was never mailed.
           AND due_at > now() - $3::interval
           -- A newer daemon may know kinds that we have no words for.
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
              FROM (-- Bounded, for a backlog of attempts to be made lies between those made.
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
    db: Connection, *, limit: int, lease: timedelta, not_older: timedelta, attempts: int = 5
) -> list[DueNotice]:
    """Lease notices that are due to be mailed, each with the last `attempts` made before it."""
    rows = await db.fetch(LEASE_DUE, limit, lease, not_older, [kind.value for kind in NoticeKind])
    if not rows:
        return []
    leased = {row["id"]: _due_of(row) for row in sorted(rows, key=lambda row: row["id"])}
    found = await db.fetch(
        LAST_ATTEMPTS,
        list(leased),
        [notice.webhook_id for notice in leased.values()],
        [notice.created_at for notice in leased.values()],
        LOOKED_THROUGH,
        attempts,
    )
    for row in found:
        notice = leased[row["id"]]
        leased[row["id"]] = replace(notice, attempts=(*notice.attempts, _attempt_of(row)))
    return list(leased.values())


def _due_of(row: Any) -> DueNotice:
    return DueNotice(
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


def _attempt_of(row: Any) -> PastAttempt:
    return PastAttempt(
        row["attempted_at"], row["status_code"], row["duration_ms"], row["error_message"]
    )


SENT = """
    UPDATE webhook_notices
       SET sent_at = now(), tries = tries + 1, last_error = $3
     WHERE id = $1 AND due_at = $2 AND sent_at IS NULL
 RETURNING true
"""


async def sent(db: Connection, notice: DueNotice, *, remark: str | None = None) -> bool:
    """A mail server has taken it over; False when the lease was lost meanwhile."""
    return bool(await db.fetchval(SENT, notice.id, notice.leased_until, remark))


FAILED = """
    UPDATE webhook_notices
       SET tries = tries + 1, last_error = $3,
           due_at = CASE WHEN now() + $4::interval < created_at + $5::interval
                         THEN now() + $4::interval ELSE 'infinity' END
     WHERE id = $1 AND due_at = $2 AND sent_at IS NULL
 RETURNING due_at < 'infinity'
"""


async def failed(
    db: Connection, notice: DueNotice, *, error: str, wait: timedelta, not_older: timedelta
) -> bool:
    """
    It could not be mailed now; False when it will be too old to be news after `wait`.

    Who has lost the lease changes nothing: then it is due again by somebody else's doing.
    """
    again = await db.fetchval(FAILED, notice.id, notice.leased_until, error, wait, not_older)
    return again is not False


GIVE_UP = """
    UPDATE webhook_notices
       SET tries = tries + 1, last_error = $3, due_at = 'infinity'
     WHERE id = $1 AND due_at = $2 AND sent_at IS NULL
"""


async def give_up(db: Connection, notice: DueNotice, *, error: str) -> None:
    """It cannot be mailed, and waiting would not help."""
    await db.execute(GIVE_UP, notice.id, notice.leased_until, error)


RELEASE = """
    UPDATE webhook_notices AS n
       SET due_at = now()
      FROM unnest($1::bigint[], $2::timestamptz[]) AS held (id, leased_until)
     WHERE n.id = held.id AND n.due_at = held.leased_until AND n.sent_at IS NULL
"""


async def release(db: Connection, leased: Sequence[DueNotice]) -> None:
    """Give back what was not begun: it is due again at once."""
    await db.execute(RELEASE, [n.id for n in leased], [n.leased_until for n in leased])
