"""
The memory that large bodies in flight may take, by tenant.

Small bodies need no leave: as many as there are slots take little. The rule: a tenant whose large
bodies hang in the sending delays its own large bodies, and no other tenant's deliveries. Each may
hold a third as many bytes as are free, so that several that hold much leave some to the next. A
tenant's only body may be larger than that, but then it leaves the last quarter free.
"""

from collections import Counter

from daemon.core.model.ids import TenantId
from daemon.core.scheduling.slots import Share
from daemon.store.payload_size import FETCHED_AT_ONCE

# Bytes of data as PostgreSQL prints them; an attempt takes several times that: as text, each
# character takes four bytes if one of them is an emoji.
BYTES_IN_FLIGHT = 32 * 1024 * 1024
LAST_BYTES = BYTES_IN_FLIGHT // 4
SHARE = Share(1, 3)


class MemoryBudget:
    """Counts the bytes of large bodies in flight."""

    def __init__(self) -> None:
        self._total = 0
        self._of_tenant: Counter[TenantId] = Counter()

    def take(self, tenant_id: TenantId, size: int) -> bool:
        """
        Count a body of `size` bytes that is in flight from now on; False if it must wait.

        A tenant's only large body may be larger than the tenant's share.
        """
        if size <= FETCHED_AT_ONCE:
            return True
        if self._total and not self._has_room(tenant_id, size):
            return False
        self._total += size
        self._of_tenant[tenant_id] += size
        return True

    def _has_room(self, tenant_id: TenantId, size: int) -> bool:
        own, free = self._of_tenant[tenant_id], BYTES_IN_FLIGHT - self._total
        if not own and size <= free - LAST_BYTES:
            return True
        return size <= SHARE.room(held=own, free=free)

    def free(self, tenant_id: TenantId, size: int) -> None:
        """Count a body for which `take` returned True, and that is not in flight any more."""
        if size <= FETCHED_AT_ONCE:
            return
        self._total -= size
        self._of_tenant[tenant_id] -= size
        if not self._of_tenant[tenant_id]:
            del self._of_tenant[tenant_id]
