"""Links that let a tenant's people into the console."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from daemon.admin.schemas.base import RequestModel, ResponseModel
from daemon.admin.schemas.cursor import CursorField
from daemon.admin.schemas.durations import LifetimeSeconds
from daemon.admin.schemas.tenant_tokens import TokenScope

ConsoleTheme = Literal["light", "dark"]


class CreatePortalLinkRequest(RequestModel):
    """Whom the link lets in, for how long, and where the console opens."""

    tenant_id: UUID
    expires_in: LifetimeSeconds = 3600
    """
    From one minute to one day: a number of seconds, or a duration such as 15m or 24h. The session
    that the link begins ends then too.
    """
    scope: TokenScope = "full"
    """`read` lets people look, and change nothing."""
    webhook_id: UUID | None = None
    """The webhook of this tenant at which the console opens."""
    theme: ConsoleTheme | None = None
    """The colours; null leaves them to the browser's preference."""


class PortalLink(ResponseModel):
    """A valid link, without its code."""

    id: UUID
    tenant_id: UUID
    webhook_id: UUID | None
    scope: TokenScope
    theme: ConsoleTheme | None
    created_by: str
    """The name of the operator token with which it was created."""
    created_at: datetime
    entered_at: datetime | None
    """When it was used; null until then."""
    expires_at: datetime


class CreatedPortalLink(PortalLink):
    """A new link with its code, which is shown only once."""

    holds_credential = True

    url: str
    """To be opened or framed by the application. Its code is in the fragment, which no log has."""


class PortalLinkList(ResponseModel):
    """A page of valid links, newest first."""

    links: list[PortalLink]
    next: str | None
    """The value of `before` for the next page; null on the last page."""


class PortalLinksQuery(RequestModel):
    """The links to list."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    before: CursorField | None = None
    """`next` of the previous page, the id of a link, or a time: older links only."""
