"""The webhooks of one tenant, or of all, with their states: what `webhookd list` shows."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.webhooks import WebhookState, state_of
from daemon.core.policy.urls import LONGEST_URL
from daemon.store.session import Connection

NIL = UUID(int=0)
PAGE_SIZE = 1000


@dataclass(frozen=True, slots=True)
class ListedWebhook:
    """A webhook without its settings."""

    id: WebhookId
    tenant_id: TenantId
    name: str
    endpoint_url: str
    state: WebhookState
    paused_reason: str | None
    consecutive_failures: int
    last_success_at: datetime | None
    last_failure_at: datetime | None


LIST_PAGE = f"""
    SELECT id, tenant_id, name, left(endpoint_url, {LONGEST_URL}) AS endpoint_url, is_active,
           is_failing, left(paused_reason, 100) AS paused_reason, consecutive_failures,
           last_success_at, last_failure_at
      FROM webhooks
     WHERE (tenant_id, id) > ($1, $2) AND ($3::uuid IS NULL OR tenant_id = $3)
     ORDER BY tenant_id, id
     LIMIT $4
"""  # noqa: S608  made of constants only


async def each(db: Connection, tenant_id: TenantId | None) -> AsyncIterator[ListedWebhook]:
    """Yield the webhooks of a tenant, or by tenant all there are, read page by page."""
    after = tenant_id or NIL, NIL
    while page := await db.fetch(LIST_PAGE, *after, tenant_id, PAGE_SIZE):
        for row in page:
            yield ListedWebhook(
                id=WebhookId(row["id"]),
                tenant_id=TenantId(row["tenant_id"]),
                name=row["name"],
                endpoint_url=row["endpoint_url"],
                state=state_of(is_active=row["is_active"], is_failing=row["is_failing"]),
                paused_reason=row["paused_reason"],
                consecutive_failures=row["consecutive_failures"],
                last_success_at=row["last_success_at"],
                last_failure_at=row["last_failure_at"],
            )
        after = page[-1]["tenant_id"], page[-1]["id"]
