"""
Turns PostgreSQL's notifications into wake-ups, so that a new event leaves within milliseconds.

A wake-up is a hint, never the truth: the other loops find by polling whatever is missed while the
connection is down.
"""

import asyncio
from uuid import UUID

from daemon.core.model.ids import WebhookId
from daemon.pipeline.lane_waker import LaneWaker
from daemon.store.database import Database

CHECK_SECONDS = 1.0


class Listener:
    """The loop; it sets `wake_fanout` for new events, and announces endpoints that are due."""

    name = "listener"

    def __init__(
        self, database: Database, *, wake_fanout: asyncio.Event, waker: LaneWaker, daemon_key: int
    ) -> None:
        self.wake = asyncio.Event()
        self._wake_fanout = wake_fanout
        self._waker = waker
        self._notifications = database.listening(
            {"webhookd_events": self._on_events, "webhookd_due": self._on_due}, lock_key=daemon_key
        )

    async def run_once(self) -> float:
        if not self._notifications.is_open:
            await self._notifications.open(on_lost=self.wake.set)
            self._wake_fanout.set()  # for events that came while nothing listened
        await self._notifications.check()
        return CHECK_SECONDS

    async def close(self) -> None:
        """End the connection."""
        await self._notifications.close()

    def _on_events(self, _payload: str) -> None:
        self._wake_fanout.set()

    def _on_due(self, payload: str) -> None:
        try:
            webhook_id = WebhookId(UUID(payload))
        except ValueError:
            return  # NOTIFY payloads are untrusted
        self._waker.announce(webhook_id, 0.0, None)
