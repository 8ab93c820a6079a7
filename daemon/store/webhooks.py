"""
Webhooks as people manage them: made, looked at, changed, paused, removed.

Every statement names the tenant: what is another's is not there.
"""

from collections.abc import Sequence
from typing import Any

import asyncpg

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.secrets import StoredSecrets
from daemon.core.model.webhooks import WebhookEntry, WebhookSettings
from daemon.store.session import Connection


def _entry(row: Any) -> WebhookEntry:
    types = row["event_types"]
    return WebhookEntry(
        id=WebhookId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        settings=WebhookSettings(
            name=row["name"],
            description=row["description"],
            endpoint_url=row["endpoint_url"],
            event_types=None if types is None else tuple(types),
            event_filters=row["event_filters"],
            notification_email=row["notification_email"],
        ),
        secrets=StoredSecrets(
            WebhookId(row["id"]),
            row["secret_key"],
            row["previous_secret_key"],
            row["custom_headers"],
            row["client_certificate"],
            row["client_key"],
            row["sealed_with"],
        ),
        previous_secret_expires_at=row["previous_secret_expires_at"],
        filter_error=row["filter_error"],
        is_active=row["is_active"],
        is_failing=row["is_failing"],
        consecutive_failures=row["consecutive_failures"],
        paused_reason=row["paused_reason"],
        last_success_at=row["last_success_at"],
        last_failure_at=row["last_failure_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


ADD = """
    INSERT INTO webhooks (id, tenant_id, name, description, endpoint_url, event_types,
                          event_filters, notification_email, secret_key, custom_headers,
                          client_certificate, client_key, sealed_with, is_active)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
    RETURNING *
"""


class NoSuchTenantError(Exception):
    """The tenant whose webhook it was to be is not there."""


async def add(
    db: Connection,
    tenant_id: TenantId,
    settings: WebhookSettings,
    secrets: StoredSecrets,
    *,
    is_active: bool,
) -> WebhookEntry:
    """Make one, with the id that its secrets are bound to. Raises NoSuchTenantError."""
    try:
        row = await db.fetchrow(
            ADD,
            secrets.webhook_id,
            tenant_id,
            *_of(settings),
            secrets.current,
            secrets.custom_headers,
            secrets.client_certificate,
            secrets.client_key,
            secrets.sealed_with,
            is_active,
        )
    except asyncpg.ForeignKeyViolationError:
        raise NoSuchTenantError from None
    return _entry(row)


KNOWS_TENANT = "SELECT EXISTS (SELECT FROM tenants WHERE id = $1)"


async def knows_tenant(db: Connection, tenant_id: TenantId) -> bool:
    """Whether there is one; call outside a transaction."""
    try:
        return bool(await db.fetchval(KNOWS_TENANT, tenant_id))
    except asyncpg.InsufficientPrivilegeError:
        return True  # the application's table need not be open to us


GET = "SELECT * FROM webhooks WHERE id = $1 AND tenant_id = $2"


async def get(db: Connection, tenant_id: TenantId, webhook_id: WebhookId) -> WebhookEntry | None:
    row = await db.fetchrow(GET, webhook_id, tenant_id)
    return None if row is None else _entry(row)


# NO KEY, so that rows may be inserted for it meanwhile.
LOCK = "SELECT * FROM webhooks WHERE id = $1 AND tenant_id = $2 FOR NO KEY UPDATE"


async def lock(db: Connection, tenant_id: TenantId, webhook_id: WebhookId) -> WebhookEntry | None:
    """The same, for the transaction that changes it."""
    row = await db.fetchrow(LOCK, webhook_id, tenant_id)
    return None if row is None else _entry(row)


PAGE = """
    SELECT *
      FROM webhooks
     WHERE tenant_id = $1
       AND ($2::uuid IS NULL
            OR (name, id) > (SELECT name, id FROM webhooks WHERE id = $2 AND tenant_id = $1))
     ORDER BY name, id
     LIMIT $3
"""


async def page(
    db: Connection, tenant_id: TenantId, *, after: WebhookId | None, limit: int
) -> list[WebhookEntry]:
    """By name; after that one."""
    return [_entry(row) for row in await db.fetch(PAGE, tenant_id, after, limit)]


CHANGE = """
    UPDATE webhooks
       SET name = $2, description = $3, endpoint_url = $4, event_types = $5, event_filters = $6,
           notification_email = $7, filter_error = NULL, updated_at = now()
     WHERE id = $1
 RETURNING *
"""


async def change(db: Connection, webhook_id: WebhookId, settings: WebhookSettings) -> WebhookEntry:
    """Write what `lock` locked, but for what is secret."""
    return _entry(await db.fetchrow(CHANGE, webhook_id, *_of(settings)))


CHANGE_SECRETS = """
    -- All of them at once: they lie under one key, or plain.
    UPDATE webhooks
       SET secret_key = $2, previous_secret_key = $3, custom_headers = $4,
           client_certificate = $5, client_key = $6, sealed_with = $7
     WHERE id = $1
"""


async def change_secrets(db: Connection, secrets: StoredSecrets) -> None:
    """Write the secrets of what `lock` locked."""
    await db.execute(
        CHANGE_SECRETS,
        secrets.webhook_id,
        secrets.current,
        secrets.previous,
        secrets.custom_headers,
        secrets.client_certificate,
        secrets.client_key,
        secrets.sealed_with,
    )


SET_ACTIVE = """
    UPDATE webhooks
       SET is_active = $3, updated_at = now(),
           -- By hand now, whatever it was before.
           paused_reason = NULL
     WHERE id = $1 AND tenant_id = $2
 RETURNING *
"""


async def set_active(
    db: Connection, tenant_id: TenantId, webhook_id: WebhookId, *, active: bool
) -> WebhookEntry | None:
    """Pause or resume."""
    row = await db.fetchrow(SET_ACTIVE, webhook_id, tenant_id, active)
    return None if row is None else _entry(row)


REMOVE_SOME = """
    -- What somebody holds goes with the webhook itself: whoever settles waits for nobody either.
    DELETE FROM webhook_deliveries
     WHERE id = ANY (ARRAY(SELECT id FROM webhook_deliveries WHERE webhook_id = $1 LIMIT $2
                              FOR UPDATE SKIP LOCKED))
"""


async def remove_some_deliveries(db: Connection, webhook_id: WebhookId, *, limit: int) -> int:
    """Some of a webhook's attempts, so that removing it is no work for minutes; how many."""
    return int((await db.execute(REMOVE_SOME, webhook_id, limit)).split()[-1])


REMOVE = "DELETE FROM webhooks WHERE id = $1 AND tenant_id = $2"


async def remove(db: Connection, tenant_id: TenantId, webhook_id: WebhookId) -> None:
    """The webhook, and with it all that is left of its deliveries."""
    await db.execute(REMOVE, webhook_id, tenant_id)


def _of(settings: WebhookSettings) -> Sequence[object]:
    return (
        settings.name,
        settings.description,
        settings.endpoint_url,
        settings.event_types,
        settings.event_filters,
        settings.notification_email,
    )
