"""
How many held results are tried at once, and when again.

Mostly each try fails, as another transaction holds their rows: so tries are small, and take at most
a fifth of the time. Once one has stored all that it took, that transaction has ended, and the next
ones grow. Times are seconds on the caller's clock.
"""

from daemon.core.scheduling.batch_size import BatchSize

MOST_TRIED, TRY_SECONDS = 20, 0.05
MOST_AFTER_SUCCESS = 500
SHORTEST_REST_SECONDS = 0.05
REST_PER_TRY = 4.0


class TryPace:
    """The size of the next try, and its time."""

    def __init__(self) -> None:
        self._size = BatchSize(least=1, most=MOST_TRIED, seconds=TRY_SECONDS)
        self._after_success = 0
        self._next_at = 0.0

    def size(self, *, now: float) -> int:
        """How many results may be tried now; 0 until the next try."""
        return max(self._size.size, self._after_success) if now >= self._next_at else 0

    def wait(self, *, now: float) -> float:
        """The seconds until the next try."""
        return max(SHORTEST_REST_SECONDS, self._next_at - now)

    def tried(self, count: int, seconds: float, *, may_grow: bool, now: float) -> None:
        """
        Note that a try of so many has just ended, and how long it took.

        It `may_grow` if all were stored, and storing such ones takes no longer than others.
        """
        self._size.took(seconds)
        self._after_success = min(MOST_AFTER_SUCCESS, 2 * count) if may_grow else 0
        rest = 0.0 if may_grow else REST_PER_TRY * seconds
        self._next_at = now + max(SHORTEST_REST_SECONDS, rest)
