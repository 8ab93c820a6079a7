"""Tokens for tenants."""

from datetime import datetime
from uuid import UUID

from daemon.admin.schemas.base import Given, Taken
from daemon.admin.schemas.fields import LifetimeSeconds


class NewTenantToken(Taken):
    """Whose token, and for how long: seconds, or a duration such as 15m."""

    tenant_id: UUID
    expires_in: LifetimeSeconds = 3600
    """From a minute to a day: seconds, or a duration such as 15m or 24h."""


class TenantTokenMade(Given):
    """A token that acts for one tenant, and until when."""

    token: str
    tenant_id: UUID
    expires_at: datetime
