"""
The memory that large bodies in flight may take, by tenant.

Small bodies need no leave: as many as there are slots take little. The rule: a tenant whose large
bodies hang in the sending delays its own large bodies, and no other tenant's deliveries.
"""

from collections import Counter

from daemon.core.model.ids import TenantId

# Bytes of data as PostgreSQL prints it; an attempt takes about three times that.
LARGE_BYTES = 64 * 1024
BYTES_IN_FLIGHT = 48 * 1024 * 1024
BYTES_OF_TENANT = 12 * 1024 * 1024


class MemoryBudget:
    """Counts the bytes of large bodies in flight."""

    def __init__(self) -> None:
        self._total = 0
        self._of_tenant: Counter[TenantId] = Counter()

    def take(self, tenant_id: TenantId, size: int) -> bool:
        """
        Count a body of `size` bytes that is in flight from now on; False if it must wait.

        A tenant's only large body never waits for the tenant's own share, whatever its size.
        """
        if size <= LARGE_BYTES:
            return True
        own = self._of_tenant[tenant_id]
        if own and own + size > BYTES_OF_TENANT:
            return False
        if self._total and self._total + size > BYTES_IN_FLIGHT:
            return False
        self._total += size
        self._of_tenant[tenant_id] += size
        return True

    def free(self, tenant_id: TenantId, size: int) -> None:
        """Count a body for which `take` returned True, and that is not in flight any more."""
        if size <= LARGE_BYTES:
            return
        self._total -= size
        self._of_tenant[tenant_id] -= size
        if not self._of_tenant[tenant_id]:
            del self._of_tenant[tenant_id]
