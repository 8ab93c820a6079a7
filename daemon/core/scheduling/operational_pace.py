"""
How many operational events of one tenant and type are sent in a minute; the rest is merged.

The rule: whatever happens to one tenant's webhooks, operators hear of all others' in time. And
thousands of exhausted deliveries delay no report of a pause.
"""

from collections import OrderedDict

from daemon.core.model.ids import TenantId

MOST_PER_MINUTE = 100
WINDOW_SECONDS = 60.0
MOST_WINDOWS = 50_000  # the one that was begun longest ago is forgotten


class OperationalPace:
    """Counts by tenant and type, in windows of a minute that begin with their first event."""

    def __init__(self) -> None:
        self._windows: OrderedDict[tuple[TenantId, str], tuple[float, int]] = OrderedDict()

    def left(self, tenant_id: TenantId, event_type: str, *, now: float) -> int:
        """How many more of the tenant's events of this type may be sent at once."""
        began, sent = self._windows.get((tenant_id, event_type), (now, 0))
        return MOST_PER_MINUTE if now >= began + WINDOW_SECONDS else MOST_PER_MINUTE - sent

    def ends_in(self, tenant_id: TenantId, event_type: str, *, now: float) -> float:
        """The seconds until this window ends; 0 if there is none."""
        began, _ = self._windows.get((tenant_id, event_type), (now - WINDOW_SECONDS, 0))
        return max(0.0, began + WINDOW_SECONDS - now)

    def sent(self, tenant_id: TenantId, event_type: str, count: int, *, now: float) -> None:
        """Note that so many events were sent."""
        key = tenant_id, event_type
        began, sent = self._windows.get(key, (now, 0))
        if now >= began + WINDOW_SECONDS:
            self._windows.pop(key)
            began, sent = now, 0
        self._windows[key] = (began, sent + count)
        while len(self._windows) > MOST_WINDOWS:
            self._windows.popitem(last=False)
