"""What `webhookd check` reads of the server and of the webhooks; nothing here changes a row."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.webhook_inspection import InspectedWebhook, ServerVersion
from daemon.store.delivery_options import delivery_options, options
from daemon.store.secrets import SECRET_COLUMNS, stored_secrets
from daemon.store.session import Connection
from daemon.store.webhook_columns import event_types, filters_text, unmarked

NIL = UUID(int=0)
PAGE_SIZE = 1000
AT_ONCE = 100  # rows at their limits take some hundredths of a second each


async def server_version(db: Connection) -> ServerVersion:
    """The version of the server behind this connection."""
    # Packages add their own name: `16.3 (Debian 16.3-1.pgdg120+1)`.
    name = str(await db.fetchval("SHOW server_version")).partition(" ")[0]
    return ServerVersion(name, db.get_server_version().major)


FIND_IDS = """
    SELECT tenant_id, id
      FROM webhooks
     WHERE (tenant_id, id) > ($1, $2)
     ORDER BY tenant_id, id
     LIMIT $3
"""
WEBHOOKS = f"""
    SELECT w.id, w.tenant_id, w.is_active, w.scope, {event_types("w")}, {filters_text("w")},
           {SECRET_COLUMNS}, {options("w")}, {unmarked("w")}
      FROM webhooks AS w
     WHERE w.id = ANY ($1::uuid[])
     ORDER BY w.tenant_id, w.id
"""  # noqa: S608  SECRET_COLUMNS is a constant


async def every_webhook(db: Connection) -> AsyncIterator[InspectedWebhook]:
    """
    All webhooks by tenant, read page by page.

    Not by a cursor: its transaction would stay open while a person reads what was printed.
    """
    tenant_id, webhook_id = NIL, NIL
    while page := await db.fetch(FIND_IDS, tenant_id, webhook_id, PAGE_SIZE):
        for start in range(0, len(page), AT_ONCE):
            ids = [row["id"] for row in page[start : start + AT_ONCE]]
            for row in await db.fetch(WEBHOOKS, ids):
                yield _inspected(row)
        tenant_id, webhook_id = page[-1]["tenant_id"], page[-1]["id"]


def _inspected(row: Any) -> InspectedWebhook:
    types = row["event_types"]
    return InspectedWebhook(
        id=WebhookId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        endpoint_url=row["endpoint_url"],
        event_types=None if types is None else tuple(types),
        event_filters=row["event_filters"],
        is_active=row["is_active"],
        secrets=stored_secrets(WebhookId(row["id"]), row),
        scope=row["scope"],
        options=delivery_options(row["options"]),
        is_unmarked=row["is_unmarked"],
    )
