"""How much to take at once, learnt from how long it took: for work that nobody should notice."""


class BatchSize:
    """`size` halves after a step that took more than `seconds`, and doubles after a quick one."""

    def __init__(self, *, least: int, most: int, seconds: float) -> None:
        self.size = least
        self._least = least
        self._most = most
        self._seconds = seconds

    def took(self, seconds: float) -> None:
        """Tell how long a step of `size` took."""
        if seconds > self._seconds:
            self.size = max(self._least, self.size // 2)
        elif seconds < self._seconds / 2:
            self.size = min(self._most, self.size * 2)
