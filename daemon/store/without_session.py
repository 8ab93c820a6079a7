"""
What takes the place of notifications and of the daemon's lock where no session can be kept.

The other loops find by polling what would have been announced. No other daemon may conclude from
the lock that this daemon is dead: see `inbox_leases.LOCKLESS`.
"""

from collections.abc import Callable


class NoNotifications:
    """Announces nothing, and is never lost."""

    announces = False
    is_open = True

    def is_paused(self, channel: str) -> bool:  # noqa: ARG002
        """Whether this channel is not listened to: none is."""
        return True

    async def open(self, *, on_lost: Callable[[], None]) -> None:
        """Open nothing."""

    async def resume(self) -> bool:
        """Return that no channel is listened to again."""
        return False

    async def check(self) -> float:
        """Return that nothing of PostgreSQL's queue is known to be in use."""
        return 0.0

    async def close(self) -> None:
        """Close nothing."""


class NoDaemonLock:
    """Holds nothing."""

    holder = None

    async def hold(self, *, on_lost: Callable[[], None]) -> bool:  # noqa: ARG002
        """Hold nothing, which need not be repeated soon."""
        return True

    async def close(self) -> None:
        """Release nothing."""
