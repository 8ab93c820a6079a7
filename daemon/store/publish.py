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
