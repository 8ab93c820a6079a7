"""
The list of webhooks whose headers and keys were sealed without an origin, by earlier versions.

The migration that bound them to origins wrote it. It only becomes shorter.
"""

from collections.abc import Sequence

from daemon.core.model.ids import WebhookId
from daemon.core.policy.urls import LONGEST_URL
from daemon.store.secrets import SECRET_COLUMNS, UNREADABLE, LockedSecrets, locked_secrets
from daemon.store.session import Connection

LOCK = f"""
    SELECT w.*, left(u.endpoint_url, {LONGEST_URL + 1}) AS unbound_url
      FROM webhook_unbound_secrets AS u
      JOIN LATERAL (SELECT w.id, {SECRET_COLUMNS} FROM webhooks AS w WHERE w.id = u.webhook_id
                       FOR NO KEY UPDATE SKIP LOCKED) AS w ON w.sealed_with::text <> $2
     LIMIT $1
"""  # noqa: S608  SECRET_COLUMNS is a constant


async def lock(db: Connection, *, limit: int) -> list[LockedSecrets]:
    """Lock up to `limit` webhooks with secrets that were sealed without an origin."""
    return locked_secrets(await db.fetch(LOCK, limit, UNREADABLE))


ANY_WAITING = """
    SELECT EXISTS (SELECT
                     FROM webhook_unbound_secrets AS u
                     JOIN webhooks AS w ON w.id = u.webhook_id
                    WHERE w.sealed_with::text <> $1)
"""


async def any_waiting(db: Connection) -> bool:
    """Whether any webhook waits for its secrets to be bound; an `UNREADABLE` one does not."""
    return bool(await db.fetchval(ANY_WAITING, UNREADABLE))


REMOVE = "DELETE FROM webhook_unbound_secrets WHERE webhook_id = ANY ($1::uuid[])"


async def remove(db: Connection, webhook_ids: Sequence[WebhookId]) -> None:
    """Remove webhooks from the list of those whose secrets are bound to no origin."""
    await db.execute(REMOVE, webhook_ids)
