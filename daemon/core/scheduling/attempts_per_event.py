"""
How many attempts an event of each tenant brings, as its last events did.

The rule: a tenant whose events go to many webhooks makes its own turns at the inbox shorter, and no
others.
"""

from collections import OrderedDict
from statistics import median_low

from daemon.core.model.ids import TenantId

MOST_TENANTS = 256  # that are remembered
RECENT_SECONDS = 1.0


class AttemptsPerEvent:
    """Running means by tenant; times are seconds on the caller's clock."""

    def __init__(self) -> None:
        self._means: OrderedDict[TenantId, tuple[float, float]] = OrderedDict()  # and when

    def note(self, tenant_id: TenantId, *, attempts: int, events: int, now: float) -> None:
        """Note that some events brought so many attempts."""
        newest = attempts / events
        self._means[tenant_id] = max(1.0, (self.of(tenant_id, otherwise=newest) + newest) / 2), now
        self._means.move_to_end(tenant_id)
        if len(self._means) > MOST_TENANTS:
            self._means.popitem(last=False)

    def of(self, tenant_id: TenantId, *, otherwise: float = 1.0) -> float:
        """The mean of one tenant; `otherwise` for one that is not known."""
        mean, _ = self._means.get(tenant_id, (otherwise, 0.0))
        return mean

    def typical(self, *, now: float) -> float:
        """The mean of the tenant in the middle, of those whose events came lately."""
        recent = [mean for mean, at in self._means.values() if now - at <= RECENT_SECONDS]
        return median_low(recent) if recent else 1.0
