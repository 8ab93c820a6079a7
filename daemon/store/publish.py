"""Publishing an event as the application does: one row in `webhook_events`."""

import asyncpg

from daemon.core.errors import WebhookdError
from daemon.core.model.ids import EventId, TenantId
from daemon.store.errors import describe
from daemon.store.session import Connection

PUBLISH = """
    INSERT INTO webhook_events (id, tenant_id, event_type, event_data, created_at)
    VALUES ($1, $2, $3, $4, now())
"""


class UnstorableDataError(WebhookdError):
    """The data is JSON, but no `jsonb`: it holds `\\u0000` or a lone surrogate."""


async def publish(
    db: Connection, event_id: EventId, *, tenant_id: TenantId, event_type: str, data: str
) -> None:
    """Store an event; `data` is JSON text. Raises UnstorableDataError."""
    try:
        await db.execute(PUBLISH, event_id, tenant_id, event_type, data)
    except asyncpg.DataError as error:
        raise UnstorableDataError(describe(error)) from None


TENANTS_WITH_WEBHOOKS = "SELECT DISTINCT tenant_id FROM webhooks ORDER BY 1 LIMIT $1"
TENANTS = "SELECT id FROM tenants ORDER BY 1 LIMIT $1"


async def tenants(db: Connection, *, limit: int) -> list[TenantId]:
    """The tenants that have webhooks; when none has any, all tenants. At most `limit` of them."""
    rows = await db.fetch(TENANTS_WITH_WEBHOOKS, limit) or await db.fetch(TENANTS, limit)
    return [TenantId(row[0]) for row in rows]


CREATE_TENANT = "INSERT INTO tenants DEFAULT VALUES RETURNING id"


async def create_tenant(db: Connection) -> TenantId:
    """Create a tenant, where no application does: in an embedded database."""
    return TenantId(await db.fetchval(CREATE_TENANT))
