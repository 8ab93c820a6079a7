"""
How much event data replays and manual retries may copy for one tenant.

Rule: a delivery keeps the data that it sends for as long as it is kept itself, and customers decide
how often they replay. A day's amount may be copied at once; beyond that, room comes back evenly
within a day, so that no tenant fills the disk.
"""

from collections import OrderedDict

from daemon.core.model.ids import TenantId

DAY_SECONDS = 86_400.0
MOST_TENANTS = 10_000  # the one that copied the longest ago is forgotten


class CopyQuota:
    """Counts the bytes copied for each tenant; `bytes_per_day` of 0 is no limit."""

    def __init__(self, bytes_per_day: int) -> None:
        self._per_day = bytes_per_day
        self._copied: OrderedDict[TenantId, tuple[float, float]] = OrderedDict()  # bytes, since

    def note(self, tenant_id: TenantId, size: int, *, now: float) -> None:
        """Count bytes that were copied; `now` is in seconds on any clock."""
        if self._per_day and size:
            self._copied[tenant_id] = (self._left_over(tenant_id, now) + size, now)
            self._copied.move_to_end(tenant_id)
            if len(self._copied) > MOST_TENANTS:
                self._copied.popitem(last=False)

    def wait(self, tenant_id: TenantId, *, now: float) -> float:
        """In how many seconds more may be copied for this tenant; 0 if now."""
        if not self._per_day:
            return 0.0
        excess = self._left_over(tenant_id, now) - self._per_day
        return max(0.0, excess * DAY_SECONDS / self._per_day)

    def _left_over(self, tenant_id: TenantId, now: float) -> float:
        """What was copied, less what has faded since."""
        copied, since = self._copied.get(tenant_id, (0.0, now))
        return max(0.0, copied - (now - since) * self._per_day / DAY_SECONDS)
