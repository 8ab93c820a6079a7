"""Slots for attempts in flight: a total, and a share of it that slow endpoints may not exceed."""

SLOW_SHARE = 0.75


class Slots:
    """Counts attempts in flight; `total` bounds them all, three quarters of it the slow ones."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.in_flight = 0
        self._slow_total = max(1, int(total * SLOW_SHARE))
        self._slow_in_flight = 0

    @property
    def free(self) -> int:
        """Slots for anybody."""
        return self.total - self.in_flight

    @property
    def free_for_slow(self) -> int:
        """Slots that slow endpoints may still take, as far as their share goes."""
        return self._slow_total - self._slow_in_flight

    def take(self, count: int, *, slow: bool) -> None:
        """Count attempts that begin."""
        self.in_flight += count
        self._slow_in_flight += count if slow else 0

    def free_one(self, *, slow: bool) -> None:
        """Count an attempt that ended."""
        self.in_flight -= 1
        self._slow_in_flight -= 1 if slow else 0

    def reclassify(self, count: int, *, slow: bool) -> None:
        """Move attempts in flight of one endpoint that has become slow, or quick."""
        self._slow_in_flight += count if slow else -count
