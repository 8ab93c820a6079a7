"""What is to be erased, and what was."""

from dataclasses import dataclass, fields

from daemon.core.model.ids import TenantId


@dataclass(frozen=True, slots=True)
class ErasureTarget:
    """Whose data: what names this contact of the tenant's, an id or an address; None: all of it."""

    tenant_id: TenantId
    contact: str | None = None


@dataclass(frozen=True, slots=True)
class ErasureCounts:
    """Rows, counted: `waiting` were events not yet fanned out, `pending` deliveries to be made."""

    events: int = 0
    waiting: int = 0
    deliveries: int = 0
    pending: int = 0
    replays: int = 0
    notices: int = 0
    webhooks: int = 0

    def __add__(self, other: "ErasureCounts") -> "ErasureCounts":
        names = [field.name for field in fields(self)]
        return ErasureCounts(*(getattr(self, name) + getattr(other, name) for name in names))

    def __bool__(self) -> bool:
        return self != ErasureCounts()
