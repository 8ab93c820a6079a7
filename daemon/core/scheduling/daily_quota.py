"""
How much of something each owner may have in a day, such as a tenant of copied event data.

Rule: what customers cause to be stored for long is bounded, so that none of them fills the disk. A
day's amount may be had at once; beyond that, room comes back evenly within a day.
"""

from collections import OrderedDict
from collections.abc import Hashable

DAY_SECONDS = 86_400.0
MOST_OWNERS = 10_000  # the one that had something the longest ago is forgotten


class DailyQuota:
    """Counts what each owner had, in one unit of the caller's; `per_day` of 0 is no limit."""

    def __init__(self, per_day: int) -> None:
        self._per_day = per_day
        self._had: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()  # the amount, since

    def note(self, owner: Hashable, amount: int, *, now: float) -> None:
        """Count what the owner has had; `now` is in seconds on any clock."""
        if self._per_day and amount:
            self._had[owner] = (self._left_over(owner, now) + amount, now)
            self._had.move_to_end(owner)
            if len(self._had) > MOST_OWNERS:
                self._had.popitem(last=False)

    def wait(self, owner: Hashable, amount: int = 0, *, now: float) -> float:
        """In how many seconds the owner may have `amount`, or an unknown one; 0 if now."""
        if not self._per_day:
            return 0.0
        excess = self._left_over(owner, now) + amount - self._per_day
        return max(0.0, excess * DAY_SECONDS / self._per_day)

    def _left_over(self, owner: Hashable, now: float) -> float:
        """What the owner had, less what has faded since."""
        had, since = self._had.get(owner, (0.0, now))
        return max(0.0, had - (now - since) * self._per_day / DAY_SECONDS)
