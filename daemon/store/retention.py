"""
The lock that lets one daemon at a time prune, and the pruning of the small tables, oldest first.

The large tables are pruned by pages: see `expired_deliveries` and `expired_events`.
"""

from datetime import timedelta

from daemon.store import named_locks
from daemon.store.errors import translated
from daemon.store.expired_rows import delete_rows
from daemon.store.session import Connection

LOCK = "webhookd retention"

TAKE_LOCK = f"""
    SELECT true
      FROM ({named_locks.TRY_LOCK}) AS taken
     CROSS JOIN LATERAL (SELECT pg_catalog.set_config('statement_timeout', $2, true)
                         OFFSET 0) AS bounded
"""  # noqa: S608  made of constants only


async def take_lock(db: Connection, *, statement_timeout: timedelta) -> bool:
    """
    Take the pruning lock until this transaction ends; False when another daemon holds it.

    Also bounds every later statement of the transaction by `statement_timeout`. Raises
    StatementTimeoutError.
    """
    milliseconds = f"{statement_timeout / timedelta(milliseconds=1):.0f}"
    with translated():
        return bool(await db.fetchval(TAKE_LOCK, LOCK, milliseconds))


DELETE_NOTICES = """
    DELETE FROM webhook_notices
     WHERE id = ANY (ARRAY(SELECT id FROM webhook_notices
                            WHERE created_at < now() - $1::interval
                            ORDER BY created_at
                            LIMIT $2
                              FOR UPDATE SKIP LOCKED))
"""


async def delete_notices(db: Connection, *, older_than: timedelta, limit: int) -> int:
    """
    Delete up to `limit` of the oldest notices; returns how many.

    Raises StatementTimeoutError.
    """
    return await delete_rows(db, DELETE_NOTICES, older_than, limit)


DELETE_SUBSCRIPTION_CHANGES = """
    DELETE FROM webhook_subscription_changes
     WHERE ctid = ANY (ARRAY(SELECT ctid FROM webhook_subscription_changes
                              WHERE changed_at < now() - $1::interval
                              ORDER BY changed_at
                              LIMIT $2))
"""


async def delete_subscription_changes(db: Connection, *, older_than: timedelta, limit: int) -> int:
    """
    Delete up to `limit` of the oldest notes of changed subscriptions; returns how many.

    Raises StatementTimeoutError.
    """
    return await delete_rows(db, DELETE_SUBSCRIPTION_CHANGES, older_than, limit)


DELETE_REPLAYS = """
    DELETE FROM webhook_replays
     WHERE id = ANY (ARRAY(SELECT id FROM webhook_replays
                            WHERE status::text <> 'running' AND finished_at < now() - $1::interval
                            ORDER BY finished_at
                            LIMIT $2
                              FOR UPDATE SKIP LOCKED))
"""


async def delete_replays(db: Connection, *, older_than: timedelta, limit: int) -> int:
    """
    Delete up to `limit` of the replays that finished longest ago; returns how many.

    Raises StatementTimeoutError.
    """
    return await delete_rows(db, DELETE_REPLAYS, older_than, limit)


DELETE_MAIL_RECIPIENTS = """
    DELETE FROM webhook_mail_recipients
     WHERE address::text
         = ANY (ARRAY(SELECT address::text
                        FROM webhook_mail_recipients
                       WHERE next_mail_at < now() - $1::interval
                         AND coalesce(leased_until, '-infinity') < now()
                       ORDER BY next_mail_at
                       LIMIT $2
                         FOR UPDATE SKIP LOCKED))
"""


async def delete_mail_recipients(db: Connection, *, older_than: timedelta, limit: int) -> int:
    """
    Delete up to `limit` of the recipients that were not mailed for longest; returns how many.

    Raises StatementTimeoutError.
    """
    return await delete_rows(db, DELETE_MAIL_RECIPIENTS, older_than, limit)


DELETE_CONFIRMATIONS = """
    DELETE FROM webhook_email_confirmations
     WHERE (tenant_id, address::text)
        IN (SELECT tenant_id, address::text
              FROM webhook_email_confirmations
             WHERE used_at < now() - $1::interval
             ORDER BY used_at
             LIMIT $2
               FOR UPDATE SKIP LOCKED)
"""


async def delete_confirmations(db: Connection, *, older_than: timedelta, limit: int) -> int:
    """
    Delete up to `limit` of the confirmations that were used longest ago; returns how many.

    Webhooks that name the address stay as they are. Raises StatementTimeoutError.
    """
    return await delete_rows(db, DELETE_CONFIRMATIONS, older_than, limit)
