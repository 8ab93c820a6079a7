"""The size of the next batch of background work, adapted to how long the last one took."""


class BatchSize:
    """
    A batch size between `least` and `most`, for steps of about `seconds`.

    `size` is halved after a step that took longer, and doubled after one that took less than half.
    """

    def __init__(self, *, least: int, most: int, seconds: float) -> None:
        self.size = least
        self._least = least
        self._most = most
        self._seconds = seconds

    def took(self, seconds: float) -> None:
        """Record how long a step of `size` took, and adapt the size of the next one."""
        if seconds > self._seconds:
            self.size = max(self._least, self.size // 2)
        elif seconds < self._seconds / 2:
            self.size = min(self._most, self.size * 2)
