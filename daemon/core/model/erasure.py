"""The target of an erasure, and the rows that an erasure counted or removed."""

from dataclasses import dataclass, fields

from daemon.core.model.ids import TenantId


@dataclass(frozen=True, slots=True)
class ErasureTarget:
    """
    The data to erase: one contact's, or everything of the tenant's when `contact` is None.

    `contact` is an id or an email address.
    """

    tenant_id: TenantId
    contact: str | None = None


@dataclass(frozen=True, slots=True)
class ErasureCounts:
    """
    Numbers of rows.

    `waiting` counts those of the events that have not been fanned out, `pending` those of the
    deliveries that have not been attempted. `confirmations` counts addresses that were asked to
    confirm that they get the tenant's notices. `answers` counts those of the API that are kept for
    repeated requests, `versions` former states of its webhooks, `links` those into the console.
    """

    events: int = 0
    waiting: int = 0
    deliveries: int = 0
    pending: int = 0
    replays: int = 0
    notices: int = 0
    webhooks: int = 0
    confirmations: int = 0
    tokens: int = 0
    links: int = 0
    audit: int = 0
    answers: int = 0
    versions: int = 0

    def __add__(self, other: "ErasureCounts") -> "ErasureCounts":
        names = [field.name for field in fields(self)]
        return ErasureCounts(*(getattr(self, name) + getattr(other, name) for name in names))

    def __bool__(self) -> bool:
        return self != ErasureCounts()
