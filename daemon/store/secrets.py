"""Webhooks' secrets in their rows: read for resealing, written back, counted, expired."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.secrets import StoredSecrets
from daemon.core.policy.urls import LONGEST_URL
from daemon.store.columns import columns
from daemon.store.session import Connection
from daemon.store.webhook_columns import TOO_LARGE_HEADERS, url_and_credentials

# Replaces the key's id on a row whose secrets cannot be decrypted, so that it is not read again.
UNREADABLE = "unreadable"
# The same on a row whose headers or client key were set for another origin than its URL's, while
# all other secrets are sealed with the newest key: its owner must set them again.
OTHER_ORIGIN = "other origin"

LONGEST_STORED = 2048  # characters that the columns hold

SECRET_COLUMNS = f"""w.secret_key, w.previous_secret_key, w.sealed_with,
           {url_and_credentials("w")}"""


def stored_secrets(webhook_id: WebhookId, row: Any) -> StoredSecrets:
    """The secrets in a row that has `SECRET_COLUMNS`; `sealed_with` may be missing."""
    return StoredSecrets(
        webhook_id=webhook_id,
        current=row["secret_key"],
        previous=row["previous_secret_key"],
        custom_headers=row["custom_headers"],
        client_certificate=row["client_certificate"],
        client_key=row["client_key"],
        sealed_with=row.get("sealed_with", ""),
        endpoint_url=row["endpoint_url"],
    )


@dataclass(frozen=True, slots=True)
class LockedSecrets:
    """
    The secrets of a row that is locked.

    `unbound_url` is the webhook's URL at the migration since which headers and keys are bound to
    an origin, while those that were sealed before it are not; None for any other webhook.
    """

    stored: StoredSecrets
    unbound_url: str | None


LOCK_SEALED_WITH = f"""
    SELECT w.id, {SECRET_COLUMNS},
           (SELECT left(u.endpoint_url, {LONGEST_URL + 1})
              FROM webhook_unbound_secrets AS u WHERE u.webhook_id = w.id) AS unbound_url
      FROM webhooks AS w
     WHERE w.sealed_with::text = ANY ($1::text[]) AND NOT w.id = ANY ($3::uuid[])
     LIMIT $2
       FOR NO KEY UPDATE SKIP LOCKED
"""  # noqa: S608  SECRET_COLUMNS is a constant


async def lock_sealed_with(
    db: Connection, key_ids: Sequence[str], *, limit: int, but: Collection[WebhookId] = ()
) -> list[LockedSecrets]:
    """Lock up to `limit` webhooks whose secrets are sealed with these keys ("": plain)."""
    return locked_secrets(await db.fetch(LOCK_SEALED_WITH, key_ids, limit, list(but)))


LOCK_ONE_SEALED_WITH = f"""
    SELECT w.id, {SECRET_COLUMNS},
           (SELECT left(u.endpoint_url, {LONGEST_URL + 1})
              FROM webhook_unbound_secrets AS u WHERE u.webhook_id = w.id) AS unbound_url
      FROM webhooks AS w
     WHERE w.id = $2 AND w.sealed_with::text = ANY ($1::text[])
       FOR NO KEY UPDATE SKIP LOCKED
"""  # noqa: S608  SECRET_COLUMNS is a constant


async def lock_one_sealed_with(
    db: Connection, key_ids: Sequence[str], webhook_id: WebhookId
) -> list[LockedSecrets]:
    """Lock a webhook if its secrets are sealed with one of these keys."""
    return locked_secrets(await db.fetch(LOCK_ONE_SEALED_WITH, key_ids, webhook_id))


FIND_SEALED_WITH = """
    SELECT id
      FROM webhooks
     WHERE sealed_with::text = ANY ($1::text[]) AND NOT id = ANY ($3::uuid[])
     LIMIT $2
"""


async def find_sealed_with(
    db: Connection, key_ids: Sequence[str], *, limit: int, but: Collection[WebhookId] = ()
) -> list[WebhookId]:
    """Return the ids of up to `limit` webhooks whose secrets are sealed with these keys."""
    rows = await db.fetch(FIND_SEALED_WITH, key_ids, limit, list(but))
    return [WebhookId(row["id"]) for row in rows]


def locked_secrets(rows: Sequence[Any]) -> list[LockedSecrets]:
    """The secrets in rows that have `SECRET_COLUMNS`, `id` and `unbound_url`."""
    return [
        LockedSecrets(stored_secrets(WebhookId(row["id"]), row), row["unbound_url"]) for row in rows
    ]


ANY_SEALED_WITH = "SELECT EXISTS (SELECT FROM webhooks WHERE sealed_with::text = ANY ($1::text[]))"


async def any_sealed_with(db: Connection, key_ids: Sequence[str]) -> bool:
    """Whether the secrets of any webhook are sealed with one of these keys."""
    return bool(await db.fetchval(ANY_SEALED_WITH, key_ids))


WRITE = f"""
    UPDATE webhooks AS w
       SET secret_key = new.secret_key, previous_secret_key = new.previous_secret_key,
           -- What was read in place of too large ones is not written back.
           custom_headers = CASE WHEN new.custom_headers = '{TOO_LARGE_HEADERS}'
                                 THEN w.custom_headers ELSE new.custom_headers::jsonb END,
           client_key = new.client_key,
           sealed_with = new.sealed_with
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
           AS new (id, secret_key, previous_secret_key, custom_headers, client_key, sealed_with)
     WHERE w.id = new.id
"""  # noqa: S608  TOO_LARGE_HEADERS is a constant


async def write(db: Connection, changed: Sequence[StoredSecrets]) -> None:
    """Write back secrets that `lock_sealed_with` locked; the certificates are not written."""
    rows = [
        (s.webhook_id, s.current, s.previous, s.custom_headers, s.client_key, s.sealed_with)
        for s in changed
    ]
    if rows:
        await db.execute(WRITE, *columns(rows))


MARKS = (UNREADABLE, OTHER_ORIGIN)

FIND_MARKED = """
    SELECT id
      FROM webhooks
     WHERE sealed_with::text = ANY ($1::text[]) AND id > $2
     ORDER BY id
     LIMIT $3
"""


async def find_marked(db: Connection, *, after: WebhookId, limit: int) -> list[WebhookId]:
    """The next webhooks, by id, with secrets that could not be opened."""
    return [WebhookId(row["id"]) for row in await db.fetch(FIND_MARKED, MARKS, after, limit)]


CLEAR_MARKS = """
    UPDATE webhooks
       SET sealed_with = ''
     WHERE id = ANY (ARRAY(SELECT id FROM webhooks
                            WHERE id = ANY ($2::uuid[]) AND sealed_with::text = ANY ($1::text[])
                              FOR NO KEY UPDATE SKIP LOCKED))
"""

FIND_MARKED_AMONG = """
    SELECT id FROM webhooks WHERE id = ANY ($2::uuid[]) AND sealed_with::text = ANY ($1::text[])
"""


async def clear_marks(db: Connection, ids: Sequence[WebhookId]) -> set[WebhookId]:
    """Have the secrets of these webhooks tried again; returns those that are locked, and marked."""
    await db.execute(CLEAR_MARKS, MARKS, ids)
    return {WebhookId(row["id"]) for row in await db.fetch(FIND_MARKED_AMONG, MARKS, ids)}


REMOVE_EXPIRED = """
    UPDATE webhooks
       SET previous_secret_key = NULL, previous_secret_expires_at = NULL
     WHERE id = ANY (ARRAY(SELECT id FROM webhooks WHERE previous_secret_expires_at <= now()
                            ORDER BY previous_secret_expires_at
                            LIMIT $1
                              FOR NO KEY UPDATE SKIP LOCKED))
"""


async def remove_expired(db: Connection, *, limit: int) -> int:
    """Remove up to `limit` previous secrets whose overlap has ended; returns how many."""
    status = await db.execute(REMOVE_EXPIRED, limit)
    return int(status.split()[-1])


COUNT_BY_KEY = """
    SELECT CASE WHEN sealed_with::text = ANY ($1::text[]) THEN sealed_with::text END AS key,
           count(*) AS count
      FROM webhooks
     GROUP BY 1
"""


async def count_by_key(db: Connection, key_ids: Sequence[str]) -> dict[str | None, int]:
    """Numbers of webhooks by these keys ("": plain); None counts those of all others together."""
    return {row["key"]: row["count"] for row in await db.fetch(COUNT_BY_KEY, key_ids)}


COUNT_SEALED = """
    SELECT count(*)
      FROM webhooks
     WHERE NOT sealed_with::text = ANY ($1::text[])
       AND pg_catalog.starts_with(secret_key::text, $2::text)
"""


async def count_sealed(db: Connection, *, but: Sequence[str], prefix: str) -> int:
    """Count the rows that name none of the keys `but` and have a secret that begins so."""
    return int(await db.fetchval(COUNT_SEALED, but, prefix))


FIND_OTHER_KEYS = """
    SELECT DISTINCT sealed_with::text AS key
      FROM webhooks
     WHERE NOT sealed_with::text = ANY ($1::text[])
     LIMIT $2
"""


async def other_keys(db: Connection, key_ids: Sequence[str], *, limit: int) -> list[str]:
    """Up to `limit` names, marks among them, that rows have in place of these keys."""
    return sorted(row["key"] for row in await db.fetch(FIND_OTHER_KEYS, key_ids, limit))


FIND_OF_OTHER_KEYS = """
    SELECT id, tenant_id
      FROM webhooks
     WHERE NOT sealed_with::text = ANY ($1::text[])
     LIMIT $2
"""


async def of_other_keys(
    db: Connection, key_ids: Sequence[str], *, limit: int
) -> list[tuple[WebhookId, TenantId]]:
    """Up to `limit` webhooks, marked ones among them, whose rows name none of these keys."""
    rows = await db.fetch(FIND_OF_OTHER_KEYS, key_ids, limit)
    return [(WebhookId(row["id"]), TenantId(row["tenant_id"])) for row in rows]
