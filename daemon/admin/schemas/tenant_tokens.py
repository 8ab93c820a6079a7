"""Short-lived tokens for tenants."""

from datetime import datetime
from uuid import UUID

from daemon.admin.schemas.base import RequestModel, ResponseModel
from daemon.admin.schemas.durations import LifetimeSeconds


class CreateTenantTokenRequest(RequestModel):
    """The tenant that the token is for, and its lifetime."""

    tenant_id: UUID
    expires_in: LifetimeSeconds = 3600
    """From one minute to one day: a number of seconds, or a duration such as 15m or 24h."""


class TenantToken(ResponseModel):
    """A token that gives access to one tenant until it expires."""

    token: str
    tenant_id: UUID
    expires_at: datetime
