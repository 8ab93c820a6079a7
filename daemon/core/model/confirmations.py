"""Requests to confirm an address."""

from dataclasses import dataclass
from datetime import datetime

from daemon.core.model.ids import TenantId


@dataclass(frozen=True, slots=True)
class LeasedConfirmation:
    """
    A request leased for mailing; `leased_until` is the fence.

    `address` is the recipient's key: bare and in lower case.
    """

    tenant_id: TenantId
    address: str
    tries: int
    leased_at: datetime
    leased_until: datetime


@dataclass(frozen=True, slots=True)
class ConfirmedAddress:
    """An address, and the tenant whose notices its owner agreed to get."""

    tenant_id: TenantId
    address: str
