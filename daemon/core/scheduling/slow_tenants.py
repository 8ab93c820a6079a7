"""
Tenants whose reads or mails took long lately: they are served apart from others.

The rule: what is slow for one tenant delays no other again. It is remembered for a minute, then all
are served together once more; twice as long each time that it was slow after all.
"""

from collections import OrderedDict
from dataclasses import dataclass

from daemon.core.model.ids import TenantId

FIRST_SECONDS = 60.0
MOST_SECONDS = 600.0
MOST_TENANTS = 1000  # that are remembered


@dataclass(slots=True)
class _Slow:
    until: float
    seconds: float


class SlowTenants:
    """Those that took `slow_from` or more, of whatever is counted; times are the caller's clock."""

    def __init__(self, *, slow_from: float) -> None:
        self._slow_from = slow_from
        self._slow: OrderedDict[TenantId, _Slow] = OrderedDict()

    def note(self, tenant_id: TenantId, took: float, *, now: float) -> None:
        """Note what was counted for one tenant alone."""
        if took < self._slow_from:
            return
        slow = self._slow.pop(tenant_id, None)
        if slow is None or now > slow.until + slow.seconds:
            seconds = FIRST_SECONDS
        elif now > slow.until:
            seconds = min(2 * slow.seconds, MOST_SECONDS)
        else:
            seconds = slow.seconds
        self._slow[tenant_id] = _Slow(now + seconds, seconds)
        if len(self._slow) > MOST_TENANTS:
            self._slow.popitem(last=False)

    def is_slow(self, tenant_id: TenantId, *, now: float) -> bool:
        """Whether to serve this tenant apart from others."""
        slow = self._slow.get(tenant_id)
        return slow is not None and now <= slow.until

    def all(self, *, now: float) -> list[TenantId]:
        """All of them."""
        return [tenant_id for tenant_id, slow in self._slow.items() if now <= slow.until]
