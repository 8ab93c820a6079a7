"""
The listener: PostgreSQL's wake-ups, so that a new event leaves within milliseconds.

A wake-up is a hint and never the truth: whatever is missed while the connection is down, the other
loops find by themselves.
"""

import asyncio
from typing import Any
from uuid import UUID

from daemon.core.model.ids import WebhookId
from daemon.pipeline.lane_waker import LaneWaker
from daemon.store.database import CONNECT_SECONDS, Database

CHECK_SECONDS = 1.0


class Listener:
    """The loop; it sets `wake_fanout` for new events, and rings `bell` for endpoints due."""

    name = "listen"

    def __init__(self, database: Database, *, wake_fanout: asyncio.Event, bell: LaneWaker) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._wake_fanout = wake_fanout
        self._bell = bell
        self._connection: Any = None

    async def run_once(self) -> float:
        if self._connection is None or self._connection.is_closed():
            await self._connect()
        await self._connection.execute("SELECT 1")  # a dead peer is noticed here
        return CHECK_SECONDS

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()

    async def _connect(self) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await self._database.dedicated()
        try:
            await connection.add_listener("webhookd_events", self._on_events)
            await connection.add_listener("webhookd_due", self._on_due)
        except BaseException:
            connection.terminate()
            raise
        connection.add_termination_listener(lambda _: self.wake.set())
        self._connection = connection
        self._wake_fanout.set()  # whatever came while nobody listened

    def _on_events(self, *_: object) -> None:
        self._wake_fanout.set()

    def _on_due(self, _connection: object, _pid: int, _channel: str, payload: str) -> None:
        try:
            webhook_id = WebhookId(UUID(payload))
        except ValueError:
            return  # anybody may notify; nobody need be believed
        self._bell.announce(webhook_id, 0.0, None)
