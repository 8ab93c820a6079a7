"""A webhook that is failing now, as operators look at those of all tenants."""

from dataclasses import dataclass
from datetime import datetime

from daemon.core.model.ids import TenantId, WebhookId


@dataclass(frozen=True, slots=True)
class FailingWebhook:
    """`last_failed_at`, `status_code` and `error` are those of the last attempt that failed."""

    id: WebhookId
    tenant_id: TenantId
    name: str
    endpoint_url: str
    consecutive_failures: int
    failing_since: datetime | None
    last_failed_at: datetime | None
    status_code: int | None
    error: str | None
