"""
Fan-out: each committed event becomes one delivery for each webhook that wants it.

Taking an event out of the inbox and making its deliveries is one transaction, so that no event is
lost or doubled, whoever dies. It need not be durable by itself: when a crash of the server undoes
it, the inbox has the event again.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

import structlog

from daemon.core.matching.compiler import UnusableFilter, compile_subscription
from daemon.core.matching.index import Subscribers, SubscriptionIndex
from daemon.core.matching.matcher import Matcher
from daemon.core.model.events import Event, Subscription
from daemon.core.model.ids import EventId, TenantId, WebhookId
from daemon.core.wire.json_value import parsed
from daemon.pipeline.lane_waker import LaneWaker
from daemon.runtime.metrics import Metrics
from daemon.runtime.uuid7 import new_delivery_id
from daemon.store import deliveries, event_log, inbox, subscriptions
from daemon.store.database import Connection, Database
from daemon.store.deliveries import NewDelivery
from daemon.store.inbox import EMPTY_SNAPSHOT, InboxBatch

log = structlog.get_logger()

BATCH = 500
INSERTED_AT_ONCE = 2000
DATA_READ_AT_ONCE = 50  # an event may hold megabytes
POLL_SECONDS = 1.0
FULL_LOOK_SECONDS = 10.0
HELD_SECONDS = 0.01  # for so long at most the loop is held, by however many filters
ALL_LOCKED_SECONDS = 0.1  # a whole batch for webhooks that somebody holds: no need to hurry

FAILED = UnusableFilter("event_filters: this cannot be used, for a reason of our own.")


class Fanout:
    """The loop; it rings `bell` for each webhook that got deliveries."""

    name = "fanout"

    def __init__(self, database: Database, bell: LaneWaker, *, metrics: Metrics) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._bell = bell
        self._metrics = metrics
        self._seen = EMPTY_SNAPSHOT
        self._full_look_at = 0.0

    async def run_once(self) -> float:
        now = time.monotonic()
        if now >= self._full_look_at:
            self._seen = EMPTY_SNAPSHOT
        try:
            look, made = await self._fan_out()
        except BaseException:
            self._seen = EMPTY_SNAPSHOT  # what this look took is back in the inbox
            raise
        if look.count < BATCH:
            if self._seen is EMPTY_SNAPSHOT:
                self._full_look_at = now + FULL_LOOK_SECONDS
            self._seen = look.seen
        for webhook_id in {delivery.webhook_id for delivery in made}:
            self._bell.announce(webhook_id, 0.0, look.at)
        self._metrics.pipeline.events_fanned_out.inc(len(look.events))
        self._metrics.pipeline.deliveries_created.inc(len(made))
        if look.count < BATCH:
            return POLL_SECONDS
        return 0.0 if made else ALL_LOCKED_SECONDS

    async def _fan_out(self) -> tuple[InboxBatch, list[NewDelivery]]:
        async with self._database.transaction(durable=False) as db:
            look = await inbox.take(db, self._seen, limit=BATCH)
            wanted = await self._wanted(db, look.events) if look.events else []
            if not wanted:
                return look, []
            held = await subscriptions.hold(db, list({new.webhook_id for new in wanted}))
            made = [new for new in wanted if new.webhook_id in held]
            if len(made) < len(wanted):
                locked = [new for new in wanted if new.webhook_id not in held]
                await inbox.put_back(db, [(new.event_id, new.webhook_id) for new in locked])
            for start in range(0, len(made), INSERTED_AT_ONCE):
                await deliveries.create(db, made[start : start + INSERTED_AT_ONCE])
            return look, made

    async def _wanted(self, db: Connection, found: Sequence[Event]) -> list[NewDelivery]:
        tenants = list({event.tenant_id for event in found})
        breath = _Breath()
        audiences: dict[TenantId, SubscriptionIndex] = defaultdict(SubscriptionIndex)
        for subscription in await subscriptions.subscriptions(db, tenants):
            matcher = await _usable(db, subscription)
            if matcher is not None:
                audiences[subscription.tenant_id].add(subscription.webhook_id, matcher)
            await breath.draw()
        wanted: list[NewDelivery] = []
        for start in range(0, len(found), DATA_READ_AT_ONCE):
            some = found[start : start + DATA_READ_AT_ONCE]
            data = await _data_where_needed(db, some, audiences, breath)
            for event in some:
                listeners = audiences[event.tenant_id].of(event.type)
                takers = await _takers(db, listeners, data.get(event.id), breath)
                wanted += [
                    NewDelivery(new_delivery_id(), webhook_id, event.id, event.created_at)
                    for webhook_id in takers
                    if event.only is None or event.only == webhook_id
                ]
            await asyncio.sleep(0)  # a batch for many webhooks is a long time for everybody else
        return wanted


class _Breath:
    """Lets everybody else have the loop, once it was held for a while."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    async def draw(self) -> None:
        if time.monotonic() - self._since >= HELD_SECONDS:
            await asyncio.sleep(0)
            self._since = time.monotonic()


async def _usable(db: Connection, subscription: Subscription) -> Matcher | None:
    """The subscription's matcher; a filter that cannot be used is shown on the webhook, once."""
    webhook_id = subscription.webhook_id
    try:
        matcher = compile_subscription(subscription.event_types, subscription.event_filters)
    except Exception:  # one customer's filter must stop nobody else's events
        log.exception("webhook.filter_failed", webhook_id=str(webhook_id))
        matcher = FAILED
    reason = matcher.reason if isinstance(matcher, UnusableFilter) else None
    if reason != subscription.filter_error:
        await subscriptions.note_filter_error(db, webhook_id, reason)
        if reason is not None:
            log.warning("webhook.filter_unusable", webhook_id=str(webhook_id), reason=reason)
    return None if isinstance(matcher, UnusableFilter) else matcher


async def _takers(
    db: Connection, listeners: Subscribers, data: object, breath: _Breath
) -> list[WebhookId]:
    """Those that want an event with this data (see `matching.parsed`)."""
    takers = list(listeners.always)
    for webhook_id, matcher in listeners.by_data:
        try:
            if matcher.matches_data(data):
                takers.append(webhook_id)
        except Exception:  # one customer's filter, as above
            log.exception("webhook.filter_failed", webhook_id=str(webhook_id))
            await subscriptions.note_filter_error(db, webhook_id, FAILED.reason)
        await breath.draw()
    return takers


async def _data_where_needed(
    db: Connection,
    found: Sequence[Event],
    audiences: Mapping[TenantId, SubscriptionIndex],
    breath: _Breath,
) -> dict[EventId, object]:
    needed = [e.id for e in found if audiences[e.tenant_id].of(e.type).depends_on_data]
    if not needed:
        return {}
    data: dict[EventId, object] = {}
    for event_id, text in (await event_log.data_of(db, needed)).items():
        data[event_id] = parsed(text)
        await breath.draw()
    return data
