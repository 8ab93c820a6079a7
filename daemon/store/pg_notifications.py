"""
A separate connection that receives PostgreSQL's notifications.

It ends as soon as a channel is flooded, because only that stops what is on its way at once. So it
holds nothing that outlives it.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import asyncpg
import structlog

from daemon.core.errors import DatabaseUnavailableError
from daemon.store import notification_queue
from daemon.store.errors import connecting, translated
from daemon.store.notification_channel import Handler, NotificationChannel
from daemon.store.session import CONNECT_SECONDS
from daemon.store.tls_parameters import connect_parameters

log = structlog.get_logger()

CHECK_SECONDS = 3.0
# Of the socket, and so of what one turn of the loop reads: some thousand notifications. Loopback
# becomes slow with less.
BUFFER_BYTES = 256 * 1024


class _SmallReads(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection of which the loop reads little at once: it would take megabytes of a flood."""

    def __init__(
        self,
        protocol: object,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        *more: object,
    ) -> None:
        super().__init__(protocol, transport, loop, *more)
        own = transport.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)

    def _process_notification(self, pid: int, channel: str, payload: str) -> None:
        # asyncpg would schedule a call for each, and the loop would read megabytes of a flood, and
        # run all of these calls, before the first of them could notice it.
        for listener in tuple(self._listeners.get(channel, ())):
            listener.cb(self, pid, channel, payload)

    def end_flood(self) -> None:
        """Read nothing more, and end the connection once the present read is over."""
        self._transport.pause_reading()
        # Not `terminate`: a command that is under way would find no protocol for its next message.
        self._loop.call_soon(self._transport.abort)


class Notifications:
    """
    Calls `handlers[channel](payload)` for each notification, between `open` and `close`.

    A channel with too many of them is paused: the connection ends, and is to be opened again.
    """

    announces = True

    def __init__(self, url: str, handlers: Mapping[str, Handler]) -> None:
        self._url = url
        self._channels = {name: NotificationChannel(each) for name, each in handlers.items()}
        self._listening: set[str] = set()
        self._was_flooded = False  # which has ended the connection
        self._connection: asyncpg.Connection | None = None

    @property
    def is_open(self) -> bool:
        """Whether notifications can arrive, of channels that are not paused."""
        return self._connection is not None and not self._connection.is_closed()

    def is_paused(self, channel: str) -> bool:
        """Whether this channel is not listened to, because there were too many notifications."""
        return self._channels[channel].is_paused

    async def open(self, *, on_lost: Callable[[], None]) -> None:
        """
        Connect and listen; `on_lost` is called when the connection ends.

        Raises DatabaseUnavailableError.
        """
        with connecting():
            async with asyncio.timeout(CONNECT_SECONDS):
                self._connection = await self._connect(on_lost)

    async def resume(self) -> bool:
        """
        Listen again to channels whose pause has ended; returns whether there was one.

        Its notifications meanwhile are unknown. Raises DatabaseUnavailableError.
        """
        with self._translated():
            return await self._listen(self._connected())
        return False  # it was flooded again

    async def check(self) -> float:
        """
        Return which part of PostgreSQL's queue is in use, from 0 to 1; detects a dead peer.

        Raises DatabaseUnavailableError.
        """
        with self._translated():
            return await notification_queue.usage(self._connected())
        return 0.0  # it was flooded just now

    async def close(self) -> None:
        """Terminate the connection at once."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Translate errors; a connection that was ended meanwhile because of a flood is none."""
        try:
            with translated():
                yield
        except DatabaseUnavailableError:
            if not self._was_flooded:
                raise

    def _connected(self) -> asyncpg.Connection:
        if self._connection is None:
            raise DatabaseUnavailableError("not connected")
        return self._connection

    async def _connect(self, on_lost: Callable[[], None]) -> asyncpg.Connection:
        connection = await asyncpg.connect(
            **connect_parameters(self._url)._asdict(),
            connection_class=_SmallReads,
            timeout=CONNECT_SECONDS,
            command_timeout=CHECK_SECONDS,
            server_settings={"application_name": "webhookd listen"},
        )
        self._listening.clear()
        self._was_flooded = False
        try:
            await self._listen(connection)
        except BaseException:
            connection.terminate()
            raise
        connection.add_termination_listener(lambda _: on_lost())
        return connection

    async def _listen(self, connection: asyncpg.Connection) -> bool:
        added = False
        for name, channel in self._channels.items():
            if name not in self._listening and not channel.is_paused:
                channel.begin()
                await connection.add_listener(name, self._received)
                self._listening.add(name)
                added = True
        return added

    def _received(self, connection: _SmallReads, _pid: int, name: str, payload: str) -> None:
        channel = self._channels[name]
        if not channel.receive(payload):
            log.warning("notifications.flooded", channel=name, pause_seconds=channel.pause_seconds)
            self._was_flooded = True
            connection.end_flood()
