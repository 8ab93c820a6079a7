"""
Rotation of a webhook's signing secret, with an overlap during which both secrets sign.

At most one overlap at a time: receivers are never asked to accept three secrets.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from daemon.core.model.ids import WebhookId
from daemon.core.wire.timestamps import rfc3339
from daemon.store.session import Connection

LOCK_OVERLAP = """
    SELECT CASE WHEN previous_secret_expires_at > now() THEN previous_secret_expires_at END AS until
      FROM webhooks
     WHERE id = $1
       FOR NO KEY UPDATE
"""
ROTATE = """
    UPDATE webhooks
       SET previous_secret_key = CASE WHEN $3 > interval '0' THEN secret_key END,
           previous_secret_expires_at = CASE WHEN $3 > interval '0' THEN now() + $3::interval END,
           secret_key = $2, sealed_with = '', updated_at = now()
     WHERE id = $1
 RETURNING previous_secret_expires_at
"""
REPLACE = """
    UPDATE webhooks
       SET secret_key = $2, sealed_with = '', updated_at = now()
     WHERE id = $1
 RETURNING previous_secret_expires_at
"""


@dataclass(frozen=True, slots=True)
class Rotated:
    """The new secret is in place; until `overlap_until`, if set, the previous one signs too."""

    overlap_until: datetime | None


@dataclass(frozen=True, slots=True)
class RotationUnderWay:
    """Nothing was changed: the overlap of an earlier rotation lasts until `until`."""

    until: datetime

    def __str__(self) -> str:
        return (
            f"a rotation is under way until {rfc3339(self.until)}, and another one would"
            " invalidate the secret that receivers may still use: replace the new secret, or rotate"
            " with an overlap of 0s to invalidate both"
        )


async def rotate(
    db: Connection, webhook_id: WebhookId, secret: str, *, overlap: timedelta, replace: bool = False
) -> Rotated | RotationUnderWay | None:
    """
    Make `secret`, plain or sealed, the current one; None when there is no such webhook.

    Call it in a transaction. While the overlap of an earlier rotation lasts, only a rotation
    without an overlap is possible: it invalidates both older secrets. `replace` invalidates the
    newer of the two and keeps the overlap.
    """
    locked = await db.fetchrow(LOCK_OVERLAP, webhook_id)
    if locked is None:
        return None
    until: datetime | None = locked["until"]
    if until is not None and replace:
        return Rotated(await db.fetchval(REPLACE, webhook_id, secret))
    if until is not None and overlap:
        return RotationUnderWay(until)
    return Rotated(await db.fetchval(ROTATE, webhook_id, secret, overlap))
