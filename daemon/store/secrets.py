"""Webhooks' secrets as they lie in the rows: found when they are to be sealed, and written back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from daemon.core.model.ids import WebhookId
from daemon.core.model.secrets import StoredSecrets
from daemon.store.session import Connection

# In place of a key's id, on a row whose secrets cannot be opened: nobody looks at it again.
UNREADABLE = "unreadable"

LONGEST_STORED = 2048  # characters that the columns hold


LOCK_SEALED_WITH = """
    SELECT id, secret_key, previous_secret_key, custom_headers, client_certificate, client_key,
           sealed_with
      FROM webhooks
     WHERE sealed_with = ANY ($1::text[])
     LIMIT $2
       FOR NO KEY UPDATE SKIP LOCKED
"""


async def lock_sealed_with(
    db: Connection, key_ids: Sequence[str], *, limit: int
) -> list[StoredSecrets]:
    """Some of the webhooks whose secrets lie under these keys, "" for plain, locked."""
    return [stored_secrets(row) for row in await db.fetch(LOCK_SEALED_WITH, key_ids, limit)]


def stored_secrets(row: Any) -> StoredSecrets:
    """The secrets of a row of `webhooks` that holds all of their columns."""
    return StoredSecrets(
        WebhookId(row["id"]),
        row["secret_key"],
        row["previous_secret_key"],
        row["custom_headers"],
        row["client_certificate"],
        row["client_key"],
        row["sealed_with"],
    )


ANY_SEALED_WITH = "SELECT EXISTS (SELECT FROM webhooks WHERE sealed_with = ANY ($1::text[]))"


async def any_sealed_with(db: Connection, key_ids: Sequence[str]) -> bool:
    return bool(await db.fetchval(ANY_SEALED_WITH, key_ids))


WRITE = """
    UPDATE webhooks AS w
       SET secret_key = new.secret_key, previous_secret_key = new.previous_secret_key,
           custom_headers = new.custom_headers::jsonb, client_key = new.client_key,
           sealed_with = new.sealed_with
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
           AS new (id, secret_key, previous_secret_key, custom_headers, client_key, sealed_with)
     WHERE w.id = new.id
"""


async def write(db: Connection, all_secrets: Sequence[StoredSecrets]) -> None:
    """Write back what `lock_sealed_with` locked."""
    await db.execute(
        WRITE,
        [s.webhook_id for s in all_secrets],
        [s.current for s in all_secrets],
        [s.previous for s in all_secrets],
        [s.custom_headers for s in all_secrets],
        [s.client_key for s in all_secrets],
        [s.sealed_with for s in all_secrets],
    )


TRY_UNREADABLE_AGAIN = "UPDATE webhooks SET sealed_with = '' WHERE sealed_with = $1"


async def try_unreadable_again(db: Connection) -> None:
    """Look once more at what could not be opened: the keys may have changed."""
    await db.execute(TRY_UNREADABLE_AGAIN, UNREADABLE)


FORGET_EXPIRED = """
    UPDATE webhooks
       SET previous_secret_key = NULL, previous_secret_expires_at = NULL
     WHERE id IN (SELECT id FROM webhooks WHERE previous_secret_expires_at <= now()
                     FOR NO KEY UPDATE SKIP LOCKED)
"""


async def forget_expired(db: Connection) -> None:
    """Remove previous secrets whose overlap has ended."""
    await db.execute(FORGET_EXPIRED)


COUNT_BY_KEY = "SELECT sealed_with, count(*) FROM webhooks GROUP BY sealed_with"


async def count_by_key(db: Connection) -> dict[str, int]:
    """How many webhooks lie under each key: ids, "" for plain, and `UNREADABLE`."""
    return dict(await db.fetch(COUNT_BY_KEY))


LOCK_OVERLAP = """
    SELECT CASE WHEN previous_secret_expires_at > now() THEN previous_secret_expires_at END AS until
      FROM webhooks
     WHERE id = $1
       FOR NO KEY UPDATE
"""
ROTATE = """
    UPDATE webhooks
       SET previous_secret_key = CASE WHEN $3 > interval '0' THEN secret_key END,
           previous_secret_expires_at = CASE WHEN $3 > interval '0' THEN now() + $3 END,
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
    """Until when the previous secret signs too; None when it ended at once."""

    overlap_until: datetime | None


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Nothing was changed: the overlap of an earlier rotation lasts until then."""

    until: datetime

    def __str__(self) -> str:
        return (
            f"a rotation is under way until {self.until:%Y-%m-%dT%H:%M:%SZ}: another one would end"
            " the secret that receivers may still go by; replace the new one, or give an overlap"
            " of 0s to end both"
        )


async def rotate(
    db: Connection, webhook_id: WebhookId, secret: str, *, overlap: timedelta, replace: bool = False
) -> Rotated | UnderWay | None:
    """
    Put `secret`, plain or sealed, in the current one's place; None when there is no webhook.

    Call in a transaction. While an overlap lasts only one without any is begun: it ends both, the
    old secret and the new one. To `replace` is to give up the new one alone.
    """
    locked = await db.fetchrow(LOCK_OVERLAP, webhook_id)
    if locked is None:
        return None
    until: datetime | None = locked["until"]
    if until is not None and replace:
        return Rotated(await db.fetchval(REPLACE, webhook_id, secret))
    if until is not None and overlap:
        return UnderWay(until)
    return Rotated(await db.fetchval(ROTATE, webhook_id, secret, overlap))
