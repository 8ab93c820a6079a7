"""
Turns PostgreSQL's notifications into wake-ups, so that a new event leaves within milliseconds.

A wake-up is a hint, never the truth: the other loops find by polling whatever is missed while the
connection is down.
"""

import asyncio
import time
from uuid import UUID

from daemon.core.model.ids import WebhookId
from daemon.pipeline.lane_waker import LaneWaker
from daemon.store.database import Database
from daemon.store.lanes import tenants_of

CHECK_SECONDS = 1.0
# Anybody who may connect may notify; what is beyond this, the lane sync finds.
MAX_UNKNOWN = 10_000


class Listener:
    """The loop; it sets `wake_fanout` for new events, and announces endpoints that are due."""

    name = "listener"

    def __init__(
        self, database: Database, *, wake_fanout: asyncio.Event, waker: LaneWaker, daemon_key: int
    ) -> None:
        self.wake = asyncio.Event()
        self._wake_fanout = wake_fanout
        self._database = database
        self._waker = waker
        self._unknown: set[WebhookId] = set()
        self._check_at = 0.0
        self._notifications = database.listening(
            {"webhookd_events": self._on_events, "webhookd_due": self._on_due}, lock_key=daemon_key
        )

    async def run_once(self) -> float:
        if not self._notifications.is_open:
            await self._notifications.open(on_lost=self.wake.set)
            self._wake_fanout.set()  # for events that came while nothing listened
        await self._announce_unknown()
        now = time.monotonic()
        if now >= self._check_at:
            await self._notifications.check()
            self._check_at = now + CHECK_SECONDS
        return self._check_at - now

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
        if not self._waker.announce_if_known(webhook_id) and len(self._unknown) < MAX_UNKNOWN:
            self._unknown.add(webhook_id)
            self.wake.set()

    async def _announce_unknown(self) -> None:
        """Announce the webhooks of which only the ids were notified, each for its tenant."""
        if not self._unknown:
            return
        unknown, self._unknown = self._unknown, set()
        async with self._database.connection() as db:
            tenants = await tenants_of(db, unknown)
        for webhook_id, tenant_id in tenants.items():
            self._waker.announce(webhook_id, 0.0, None, tenant_id=tenant_id, unspaced=True)
