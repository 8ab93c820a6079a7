"""
Webhooks as people manage them: inserted, read, updated, paused, deleted.

Statements name the tenant, or work on a row that `get_for_update` has locked for it: other tenants'
webhooks are not found.
"""

from collections.abc import Sequence
from typing import Any

import asyncpg

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.secrets import StoredSecrets
from daemon.core.model.webhooks import WebhookEntry, WebhookSettings
from daemon.core.policy.urls import LONGEST_URL
from daemon.store.delivery_options import delivery_options
from daemon.store.secrets import stored_secrets
from daemon.store.session import Connection
from daemon.store.webhook_columns import ENTRY, description


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
        secrets=stored_secrets(WebhookId(row["id"]), row),
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
        unconfirmed_email=row["unconfirmed_email"],
        next_probe_at=row["next_probe_at"] if row["is_active"] and row["is_failing"] else None,
        options=delivery_options(row["options"]),
        failing_since=row["failing_since"] if row["is_failing"] else None,
        failed_probes=row["failed_probes"] if row["is_failing"] else 0,
        scope=row["scope"],
        is_unmarked=row["is_unmarked"],
    )


INSERT_WEBHOOK = f"""
    INSERT INTO webhooks AS w (id, tenant_id, name, description, endpoint_url, event_types,
                          event_filters, notification_email, secret_key, custom_headers,
                          client_certificate, client_key, sealed_with, is_active)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
    RETURNING {ENTRY}
"""  # noqa: S608  made of constants only


class NoSuchTenantError(Exception):
    """The tenant of a new webhook does not exist."""


async def insert(
    db: Connection,
    tenant_id: TenantId,
    settings: WebhookSettings,
    secrets: StoredSecrets,
    *,
    is_active: bool,
) -> WebhookEntry:
    """Insert a webhook, with the id that its secrets are bound to. Raises NoSuchTenantError."""
    try:
        row = await db.fetchrow(
            INSERT_WEBHOOK,
            secrets.webhook_id,
            tenant_id,
            *_settings_columns(settings),
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


GET_WEBHOOK = f"SELECT {ENTRY} FROM webhooks AS w WHERE id = $1 AND tenant_id = $2"  # noqa: S608


async def get(db: Connection, tenant_id: TenantId, webhook_id: WebhookId) -> WebhookEntry | None:
    """Return a webhook; None if the tenant has none of this id."""
    row = await db.fetchrow(GET_WEBHOOK, webhook_id, tenant_id)
    return None if row is None else _entry(row)


# NO KEY, so that deliveries can be inserted for it meanwhile.
LOCK_WEBHOOK = f"{GET_WEBHOOK} FOR NO KEY UPDATE"


async def get_for_update(
    db: Connection, tenant_id: TenantId, webhook_id: WebhookId
) -> WebhookEntry | None:
    """Return a webhook, locked until the transaction ends; None if the tenant has none."""
    row = await db.fetchrow(LOCK_WEBHOOK, webhook_id, tenant_id)
    return None if row is None else _entry(row)


# A constant in the order by name alone.
TROUBLE = """CASE WHEN NOT $7 THEN 0
                 WHEN is_active AND is_failing THEN 0
                 WHEN NOT is_active AND paused_reason IS NOT NULL THEN 1
                 WHEN is_active AND consecutive_failures > 0 THEN 2 ELSE 3 END"""
# Of the rows of a page in PostgreSQL's memory, besides the last; all are in the daemon's at once.
MOST_PAGE_BYTES = 1024 * 1024
# Only what decides the order is sorted: whole rows of thousands of webhooks take much longer.
LIST_PAGE = f"""
    WITH page AS MATERIALIZED (
        SELECT id
          FROM webhooks
         WHERE tenant_id = $1 AND ($6 OR scope::text <> 'operator')
           AND ($2::uuid IS NULL
                OR ({TROUBLE}, name::text, id)
                 > (SELECT {TROUBLE}, name::text, id
                      FROM webhooks
                     WHERE id = $2 AND tenant_id = $1))
           AND ($4::text IS NULL
                OR $4 = CASE WHEN NOT is_active THEN 'paused' WHEN is_failing THEN 'failing'
                             ELSE 'active' END)
           AND ($5::text IS NULL
                OR strpos(lower(name::text), lower($5)) > 0
                OR strpos(lower(left(endpoint_url, {LONGEST_URL})), lower($5)) > 0)
         ORDER BY {TROUBLE}, name, id
         LIMIT $3
    ), entries AS MATERIALIZED (
        SELECT {ENTRY}, {TROUBLE} AS trouble
          FROM webhooks AS w
         WHERE id = ANY (ARRAY(SELECT id FROM page))
    ), sized AS (
        SELECT entries.*, pg_catalog.pg_column_size(entries) AS own_bytes,
               sum(pg_catalog.pg_column_size(entries)) OVER (ORDER BY trouble, name, id) AS bytes
          FROM entries
    )
    SELECT *, (SELECT count(*) FROM page) AS found
      FROM sized
     WHERE bytes - own_bytes < {MOST_PAGE_BYTES}
     ORDER BY trouble, name, id
"""  # noqa: S608  made of constants only


async def list_page(
    db: Connection,
    tenant_id: TenantId,
    *,
    after: WebhookId | None,
    limit: int,
    state: str | None = None,
    search: str | None = None,
    trouble_first: bool = False,
    for_operators: bool = True,
) -> tuple[list[WebhookEntry], bool]:
    """
    Return a page of a tenant's webhooks, by name, and whether more follow.

    It begins behind the webhook `after`, and is short where webhooks are large.

    With `trouble_first`, those that fail precede those that the daemon paused, then follow those
    whose last attempt failed, and the rest.

    `state` is a WebhookState; `search` is a part of the name or of the URL, in any case. Unless it
    is `for_operators`, operators' webhooks are left out.
    """
    rows = await db.fetch(
        LIST_PAGE, tenant_id, after, limit + 1, state, search, for_operators, trouble_first
    )
    page = [_entry(row) for row in rows[:limit]]
    return page, bool(page) and rows[0]["found"] > len(page)


UPDATE_SETTINGS = f"""
    UPDATE webhooks AS w
       SET name = $2,
           -- A description that was read cut off, and not changed, stays whole.
           description = CASE WHEN $3::text IS NOT DISTINCT FROM {description("w")}
                              THEN w.description ELSE $3::text END,
           endpoint_url = $4, event_types = $5, event_filters = $6,
           notification_email = $7, filter_error = NULL, updated_at = now()
     WHERE id = $1
 RETURNING {ENTRY}
"""  # noqa: S608  made of constants only


async def update_settings(
    db: Connection, webhook_id: WebhookId, settings: WebhookSettings
) -> WebhookEntry:
    """Write the settings of a webhook that `get_for_update` locked."""
    return _entry(await db.fetchrow(UPDATE_SETTINGS, webhook_id, *_settings_columns(settings)))


UPDATE_SECRETS = """
    -- All of them at once: they are sealed with one key, or all plain.
    UPDATE webhooks
       SET secret_key = $2, previous_secret_key = $3, custom_headers = $4,
           client_certificate = $5, client_key = $6, sealed_with = $7
     WHERE id = $1
"""


async def update_secrets(db: Connection, secrets: StoredSecrets) -> None:
    """Write the secrets of a webhook that `get_for_update` locked."""
    await db.execute(
        UPDATE_SECRETS,
        secrets.webhook_id,
        secrets.current,
        secrets.previous,
        secrets.custom_headers,
        secrets.client_certificate,
        secrets.client_key,
        secrets.sealed_with,
    )


SET_ACTIVE = f"""
    UPDATE webhooks AS w
       SET is_active = $3, updated_at = now(),
           -- Paused or resumed by a person now, whatever the reason before.
           paused_reason = NULL
     WHERE id = $1 AND tenant_id = $2
 RETURNING {ENTRY}
"""  # noqa: S608  made of constants only


async def set_active(
    db: Connection, tenant_id: TenantId, webhook_id: WebhookId, *, active: bool
) -> WebhookEntry | None:
    """Resume or pause a webhook, and return it; None if the tenant has none of this id."""
    row = await db.fetchrow(SET_ACTIVE, webhook_id, tenant_id, active)
    return None if row is None else _entry(row)


DELETE_SOME_DELIVERIES = """
    -- A locked delivery is left for the deletion of the webhook: the result writer, which may hold
    -- it, does not wait for locks either.
    DELETE FROM webhook_deliveries
     WHERE id = ANY (ARRAY(SELECT id FROM webhook_deliveries WHERE webhook_id = $1 LIMIT $2
                              FOR UPDATE SKIP LOCKED))
       -- Others may have rows with these ids. Not `=`, by which a planner might read all of them.
       AND webhook_id IS NOT DISTINCT FROM $1
"""


async def delete_some_deliveries(db: Connection, webhook_id: WebhookId, *, limit: int) -> int:
    """
    Delete at most `limit` attempts of a webhook; return how many were deleted.

    Repeated before `delete`, this keeps the deletion of the webhook from taking minutes.
    """
    return int((await db.execute(DELETE_SOME_DELIVERIES, webhook_id, limit)).split()[-1])


DELETE_WEBHOOK = "DELETE FROM webhooks WHERE id = $1 AND tenant_id = $2"


async def delete(db: Connection, tenant_id: TenantId, webhook_id: WebhookId) -> None:
    """Delete a webhook, and with it the rest of its deliveries."""
    await db.execute(DELETE_WEBHOOK, webhook_id, tenant_id)


def _settings_columns(settings: WebhookSettings) -> Sequence[object]:
    return (
        settings.name,
        settings.description,
        settings.endpoint_url,
        settings.event_types,
        settings.event_filters,
        settings.notification_email,
    )
