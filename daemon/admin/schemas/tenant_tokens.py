"""Short-lived tokens for tenants."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from daemon.admin.schemas.base import RequestModel, ResponseModel
from daemon.admin.schemas.cursor import CursorField
from daemon.admin.schemas.durations import LifetimeSeconds

TokenScope = Literal["full", "read"]


class CreateTenantTokenRequest(RequestModel):
    """The tenant that the token is for, its lifetime, and what it permits."""

    tenant_id: UUID
    expires_in: LifetimeSeconds = 3600
    """From one minute to one day: a number of seconds, or a duration such as 15m or 24h."""
    scope: TokenScope = "full"
    """`read` permits GET requests and dry runs only."""


class CreatedTenantToken(ResponseModel):
    """A token that gives access to one tenant until it expires."""

    holds_credential = True

    id: UUID
    token: str
    tenant_id: UUID
    scope: TokenScope
    expires_at: datetime


class TenantToken(ResponseModel):
    """A valid token, without the token itself."""

    id: UUID
    tenant_id: UUID
    scope: TokenScope
    created_by: str
    """The name of the operator token with which it was created."""
    created_at: datetime
    expires_at: datetime


class TenantTokenList(ResponseModel):
    """A page of valid tokens, newest first."""

    tokens: list[TenantToken]
    next: str | None
    """The value of `before` for the next page; null on the last page."""


class TenantTokensQuery(RequestModel):
    """The tokens to list."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    before: CursorField | None = None
    """`next` of the previous page, the id of a token, or a time: older tokens only."""
