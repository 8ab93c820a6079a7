"""Holds: while everything or a tenant is held, its deliveries wait."""

from dataclasses import dataclass
from datetime import datetime

from daemon.core.model.ids import TenantId


@dataclass(frozen=True, slots=True)
class Hold:
    """
    What is held: everything if `tenant_id` is None.

    `held_by` is the name of an operator's token, or a user of the operating system.
    """

    tenant_id: TenantId | None
    since: datetime
    held_by: str
    reason: str | None
