"""
Idle connections to receivers, kept for a few seconds for the next request to the same peer.

Rule: a connection is reused only while it is young and nothing was received on it.
"""

import asyncio
from collections import deque

from daemon.egress.closing import ConnectionCloser
from daemon.egress.http1 import HttpConnection
from daemon.egress.peer import Peer, PeerKey

# Less than the 5 s after which Node.js closes an idle connection, perhaps as we write to it.
MAX_IDLE_SECONDS = 4.0
MAX_IDLE_PER_PEER = 512
MAX_IDLE = 2048


class ConnectionPool:
    """The idle connections of one daemon: `put` keeps one, `take` returns it for another use."""

    def __init__(self, closer: ConnectionCloser) -> None:
        self._closer = closer
        self._loop = asyncio.get_running_loop()
        self._idle: dict[PeerKey, deque[tuple[HttpConnection, float]]] = {}
        self._idle_count = 0
        self._sweep: asyncio.TimerHandle | None = None

    @property
    def idle_count(self) -> int:
        """How many connections are kept."""
        return self._idle_count

    def take(self, peer: Peer) -> HttpConnection | None:
        """Return the youngest usable connection, so that the older ones expire; None if none."""
        idle = self._idle.get(peer.key)
        oldest = self._loop.time() - MAX_IDLE_SECONDS
        while idle:
            connection, idle_since = idle.pop()
            self._idle_count -= 1
            if idle_since > oldest and connection.usable:
                return connection
            self._closer.close(connection)
        return None

    def put(self, peer: Peer, connection: HttpConnection) -> None:
        """Keep the connection for the next request to the same peer, or close it at the limit."""
        idle = self._idle.get(peer.key)
        if idle is None:
            idle = self._idle[peer.key] = deque()
        if len(idle) >= MAX_IDLE_PER_PEER or self._idle_count >= MAX_IDLE:
            self._closer.close(connection)
            return
        idle.append((connection, self._loop.time()))
        self._idle_count += 1
        if self._sweep is None:
            self._schedule_sweep()

    def close(self) -> None:
        """Close the idle connections; those in use belong to the requests that took them."""
        if self._sweep is not None:
            self._sweep.cancel()
        for idle in self._idle.values():
            for connection, _ in idle:
                self._closer.close(connection)
        self._idle.clear()
        self._idle_count = 0

    def _schedule_sweep(self) -> None:
        self._sweep = self._loop.call_later(MAX_IDLE_SECONDS / 2, self._close_expired)

    def _close_expired(self) -> None:
        oldest = self._loop.time() - MAX_IDLE_SECONDS
        for key, idle in list(self._idle.items()):
            while idle and (idle[0][1] < oldest or not idle[0][0].usable):
                self._closer.close(idle.popleft()[0])
                self._idle_count -= 1
            if not idle:
                del self._idle[key]
        self._sweep = None
        if self._idle:
            self._schedule_sweep()
