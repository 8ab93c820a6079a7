"""The webhooks of all tenants that are failing now."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from daemon.admin.schemas.base import RequestModel, ResponseModel


class FailingWebhook(ResponseModel):
    """A webhook that is failing, and why its last attempt failed."""

    id: UUID
    tenant_id: UUID
    name: str
    endpoint_url: str
    consecutive_failures: int
    failing_since: datetime | None
    last_failed_at: datetime | None
    """Null, as `statusCode` and `error` are, where no failed attempt is stored any more."""
    status_code: int | None
    error: str | None


class FailingWebhooks(ResponseModel):
    """The webhooks that are failing, those that began last first."""

    webhooks: list[FailingWebhook]
    complete: bool
    """False when there are more."""


class FailingWebhooksQuery(RequestModel):
    """How many to list."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
