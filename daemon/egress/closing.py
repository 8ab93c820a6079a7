"""
Closes connections after their last response, so that neither side minds.

The rule: this machine keeps few ports in TIME_WAIT (see `resets`). A receiver that announced that
it closes the connection gets a moment to do so, and then has that port itself. Of the others, so
many in a minute are closed in the ordinary way, because some servers log a reset of an idle
connection as an error; the rest are reset.
"""

import asyncio
from collections import Counter, deque

from daemon.egress.http1 import HttpConnection
from daemon.egress.routes import SocketAddress

WAIT_SECONDS = 1.0
MAX_WAITING = 512
# For each address and port, and in all. TIME_WAIT lasts a minute as well.
INTERVAL_SECONDS = 60.0
MAX_ORDINARY_PER_DESTINATION = 100
MAX_ORDINARY = 2000


class ConnectionCloser:
    """Closes the connections of one daemon."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[HttpConnection, float]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._ordinary: Counter[SocketAddress] = Counter()
        self._ordinary_since = self._loop.time()

    def close_after_response(self, connection: HttpConnection) -> None:
        """Close a connection whose response is complete or truncated; soon, or at once."""
        if not connection.awaits_receiver:
            self.close(connection)
            return
        self._waiting.append((connection, self._loop.time() + WAIT_SECONDS))
        if len(self._waiting) > MAX_WAITING:
            self.close(self._waiting.popleft()[0])
        if self._timer is None:
            self._close_later()

    def close(self, connection: HttpConnection) -> None:
        """Close a connection at once that nothing is under way on, unless it is closed."""
        if connection.is_open and self._may_be_ordinary(connection.destination):
            connection.abort()
        else:
            connection.close()

    def close_all(self) -> None:
        """Close those that still wait."""
        if self._timer is not None:
            self._timer.cancel()
        while self._waiting:
            self.close(self._waiting.popleft()[0])

    def _close_later(self) -> None:
        self._timer = self._loop.call_at(self._waiting[0][1], self._close_waiting)

    def _close_waiting(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._waiting and self._waiting[0][1] <= now:
            self.close(self._waiting.popleft()[0])
        if self._waiting:
            self._close_later()

    def _may_be_ordinary(self, destination: SocketAddress | None) -> bool:
        now = self._loop.time()
        if now - self._ordinary_since >= INTERVAL_SECONDS:
            self._ordinary.clear()
            self._ordinary_since = now
        if (
            destination is None
            or self._ordinary[destination] >= MAX_ORDINARY_PER_DESTINATION
            or self._ordinary.total() >= MAX_ORDINARY
        ):
            return False
        self._ordinary[destination] += 1
        return True
