"""
Turns PostgreSQL's notifications into wake-ups, so that a new event leaves within milliseconds.

A wake-up is a hint, never the truth: the other loops find by polling whatever is missed while the
connection is down, or while a channel is not listened to because it is flooded.
"""

import asyncio
import time
from itertools import islice

import structlog

from daemon.core.model.ids import WebhookId
from daemon.pipeline.lane_waker import LaneWaker
from daemon.runtime.metrics import Metrics
from daemon.store.database import Database
from daemon.store.identifiers import read_id
from daemon.store.lanes import tenants_of

log = structlog.get_logger()

CHECK_SECONDS = 10.0  # between two looks at PostgreSQL's queue, and at both connections
LOCK_SECONDS = 1.0  # between two tries to take the lock
LOCK_CONSEQUENCE = (
    "if this daemon dies, its events wait until their leases end; end that session, or restart"
)
PAUSED_SECONDS = 1.0  # while a channel is not listened to
EVENTS, DUE, REPLAYS = "webhookd_events", "webhookd_due", "webhookd_replays"
HOLDS = "webhookd_holds"
# How often events are looked for while their channel is flooded, or PostgreSQL's queue is so full
# that the triggers will soon notify no more.
FLOODED_POLL_SECONDS = 0.1
MUCH_OF_QUEUE = 0.4
# NOTIFY payloads are untrusted: any role that may connect can send them. The lane sync finds
# what is beyond this.
MAX_UNKNOWN = 10_000
UNKNOWN_AT_ONCE = 500  # looked up by one statement; others use the loop and the database between


class Listener:
    """
    The loop; it announces endpoints that are due.

    It sets `wake_fanout` for new events, and its own `replay_created` for new replays and
    `holds_changed` for holds and releases.
    """

    name = "listener"

    def __init__(
        self,
        database: Database,
        metrics: Metrics,
        *,
        wake_fanout: asyncio.Event,
        waker: LaneWaker,
        daemon_key: int,
    ) -> None:
        self.wake = asyncio.Event()
        self.replay_created = asyncio.Event()
        self.holds_changed = asyncio.Event()
        self._wake_fanout = wake_fanout
        self._database = database
        self._waker = waker
        self._metrics = metrics
        self._queue_usage = 0.0
        self._unknown: set[WebhookId] = set()
        self._check_at = self._hint_at = 0.0
        self._lock = database.daemon_lock(daemon_key)
        self._lock_holder: str | None = None  # another session, as it was logged
        self._notifications = database.listening(
            {
                EVENTS: self._on_events,
                DUE: self._on_due,
                REPLAYS: self._on_replay,
                HOLDS: self._on_hold,
            }
        )

    async def run_once(self) -> float:
        if time.monotonic() >= self._check_at:
            await self._check()
        if not self._notifications.is_open:
            await self._notifications.open(on_lost=self.wake.set)
            self._wake_fanout.set()  # for events that came while nothing listened
        if await self._notifications.resume() or self._must_poll:
            self._wake_fanout.set()
        if not self._notifications.announces and time.monotonic() >= self._hint_at:
            self._hint_at = time.monotonic() + PAUSED_SECONDS
            self.replay_created.set()
            self.holds_changed.set()
        await self._announce_unknown()
        return self._rest()

    async def close(self) -> None:
        """End the connections."""
        await self._notifications.close()
        await self._lock.close()

    async def _check(self) -> None:
        is_held = await self._lock.hold(on_lost=self._on_lock_lost)
        self._log_lock_holder(self._lock.holder)
        if self._notifications.is_open:
            self._queue_usage = await self._notifications.check()
            self._metrics.pipeline.notification_queue_usage.set(self._queue_usage)
        self._check_at = time.monotonic() + (CHECK_SECONDS if is_held else LOCK_SECONDS)

    def _log_lock_holder(self, holder: str | None) -> None:
        if holder == self._lock_holder:
            return
        self._lock_holder = holder
        if holder is None:
            log.info("daemon_lock.free")
        else:
            log.warning("daemon_lock.held_by_another", holder=holder, consequence=LOCK_CONSEQUENCE)

    @property
    def _must_poll(self) -> bool:
        """Whether new events are not announced."""
        is_full = self._queue_usage >= MUCH_OF_QUEUE
        return is_full or self._notifications.is_paused(EVENTS)

    def _rest(self) -> float:
        if self._unknown:
            return 0.0
        if self._must_poll:
            return FLOODED_POLL_SECONDS
        rest = self._check_at - time.monotonic()
        paused = any(map(self._notifications.is_paused, (DUE, REPLAYS, HOLDS)))
        return min(rest, PAUSED_SECONDS) if paused else rest

    def _on_lock_lost(self) -> None:
        self._check_at = 0.0
        self.wake.set()

    def _on_events(self, _payload: str) -> None:
        self._wake_fanout.set()

    def _on_replay(self, _payload: str) -> None:
        self.replay_created.set()

    def _on_hold(self, _payload: str) -> None:
        self.holds_changed.set()

    def _on_due(self, payload: str) -> None:
        try:
            webhook_id = WebhookId(read_id(payload))
        except ValueError:
            return  # NOTIFY payloads are untrusted
        if not self._waker.announce_if_known(webhook_id) and len(self._unknown) < MAX_UNKNOWN:
            self._unknown.add(webhook_id)
            self.wake.set()

    async def _announce_unknown(self) -> None:
        """Announce some of the webhooks of which only the ids were notified, for their tenants."""
        if not self._unknown:
            return
        unknown = set(islice(self._unknown, UNKNOWN_AT_ONCE))
        self._unknown -= unknown
        async with self._database.connection() as db:
            tenants = await tenants_of(db, unknown)
        for webhook_id, tenant_id in tenants.items():
            self._waker.announce(webhook_id, 0.0, None, tenant_id=tenant_id, unspaced=True)
