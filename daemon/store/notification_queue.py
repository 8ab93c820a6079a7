"""
PostgreSQL's queue of notifications, which all databases of a server share.

Any role may fill it, and a session that listens keeps it full while it is in a transaction. Then a
transaction that notifies fails at its end. So nothing of ours notifies once half of it is in use,
and what is not announced is found by polling; the triggers do the same
(`migrations/0023_locks_and_notifications.sql`).
"""

from collections.abc import Sequence

from daemon.core.model.ids import WebhookId
from daemon.store.session import Connection

USAGE = "SELECT pg_catalog.pg_notification_queue_usage()"


async def usage(db: Connection) -> float:
    """Which part of the queue is in use, from 0 to 1."""
    return float(await db.fetchval(USAGE))


NOTIFY_REPLAY = """
    SELECT pg_notify('webhookd_replays', '')
     WHERE pg_catalog.pg_notification_queue_usage() < '0.5'::double precision
"""


async def notify_replay(db: Connection) -> None:
    """Wake the replayer of every daemon, once the transaction has committed."""
    await db.execute(NOTIFY_REPLAY)


NOTIFY_HOLDS = """
    SELECT pg_notify('webhookd_holds', '')
     WHERE pg_catalog.pg_notification_queue_usage() < '0.5'::double precision
"""


async def notify_holds(db: Connection) -> None:
    """Let every daemon look what is held, once the transaction has committed."""
    await db.execute(NOTIFY_HOLDS)


# Wakes every daemon: a row with `event_created_at` does not fire the trigger.
NOTIFY_DUE = """
    SELECT pg_notify('webhookd_due', id::text)
      FROM pg_catalog.unnest($1::uuid[]) AS id
     WHERE pg_catalog.pg_notification_queue_usage() < '0.5'::double precision
"""


async def notify_due(db: Connection, ids: Sequence[WebhookId]) -> None:
    """Wake the lanes of these endpoints in every daemon, once the transaction has committed."""
    await db.execute(NOTIFY_DUE, ids)
