"""Holds of everything or of one tenant."""

from datetime import datetime
from uuid import UUID

from daemon.admin.schemas.base import RequestModel, ResponseModel
from daemon.admin.schemas.fields import Name


class HoldRequest(RequestModel):
    """Why something is held, or released."""

    reason: Name | None = None
    """For the audit and the log, and while it is held for operators."""


class Hold(ResponseModel):
    """A hold, and when it began."""

    tenant_id: UUID | None
    """The tenant; null if everything is held."""
    since: datetime
    held_by: str | None
    """
    The name of an operator token, or a user of the operating system. Null for tenants, and so is
    `reason`.
    """
    reason: str | None


class Holds(ResponseModel):
    """The holds in force now."""

    held: list[Hold]
    """The hold of everything first, then the newest; 100 at most."""
    total: int
