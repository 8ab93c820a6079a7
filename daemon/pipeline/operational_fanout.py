"""
Fan-out of operational events: from what results and people did to deliveries of their own.

The rule: tenants take turns, a bounded piece at a time, and what one tenant has too much of in a
minute is merged. So no tenant floods the webhooks of operators, or holds up another's events.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import structlog

from daemon.core.errors import STATEMENT_FAILURES
from daemon.core.matching.condition_index import Found
from daemon.core.matching.event_data import EventData
from daemon.core.model.events import Event, Subscription
from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.operational_events import OperationalEvent, OperationalType
from daemon.core.scheduling.operational_pace import OperationalPace
from daemon.core.wire.json_value import parse_json
from daemon.pipeline.event_matcher import EventMatcher
from daemon.pipeline.lane_waker import LaneWaker
from daemon.pipeline.subscription_pages import matcher_of
from daemon.runtime.time_slice import TimeSlice
from daemon.store import operational_deliveries, operational_subscribers
from daemon.store.database import Database

log = structlog.get_logger()

POLL_SECONDS = 1.0  # while some wait
IDLE_SECONDS = 15.0  # this daemon's new ones wake the loop
PAUSE_SECONDS = 0.01  # leaves the event loop and the database to others
MOST_TENANTS = 100  # in one run, which ends after so many seconds
RUN_SECONDS = 5.0
FIRST_TENANT = TenantId(UUID(int=0))
EVENTS_AT_ONCE = 10  # of a tenant in its turn, to as many subscribers
SUBSCRIBERS_AT_ONCE = 50
MERGED_AT_ONCE = 1000
BEGINNING = (None, None)  # the place of an event without any delivery
# Before events are tried again that could not be served: the others come first.
PUT_OFF = timedelta(minutes=1)


class OperationalFanout:
    """The loop; it announces each webhook that got deliveries. `wake` is set with new events."""

    name = "operational_events"

    def __init__(self, database: Database, waker: LaneWaker, *, wake: asyncio.Event) -> None:
        self.wake = wake
        self._database = database
        self._waker = waker
        self._matcher = EventMatcher(database)
        self._pace = OperationalPace()
        self._after = FIRST_TENANT
        self._progress = False

    async def run_once(self) -> float:
        """Give each of the next tenants one turn; return the seconds until the next call."""
        async with self._database.connection() as db:
            tenants = await operational_deliveries.tenants(
                db, after=self._after, limit=MOST_TENANTS
            )
        if not tenants and self._after == FIRST_TENANT:
            return IDLE_SECONDS
        ends = time.monotonic() + RUN_SECONDS
        for tenant_id in tenants:
            self._progress |= await self._turn(tenant_id)
            self._after = tenant_id
            if time.monotonic() > ends:
                return PAUSE_SECONDS
        if len(tenants) == MOST_TENANTS:
            return PAUSE_SECONDS
        again, self._progress, self._after = self._progress, False, FIRST_TENANT
        return PAUSE_SECONDS if again else POLL_SECONDS

    async def _turn(self, tenant_id: TenantId) -> bool:
        """Serve some of a tenant's events, or merge them; return whether more may be done."""
        waiting = [each.value for each in OperationalType if self._left(tenant_id, each) <= 0]
        merged = [await self._merge(tenant_id, each) for each in waiting]
        async with self._database.connection() as db:
            due = await operational_deliveries.due(
                db, tenant_id, limit=EVENTS_AT_ONCE, waiting=waiting
            )
        alike = self._alike(tenant_id, due)
        if not alike:
            return any(merged)
        try:
            await self._serve(tenant_id, alike)
        except STATEMENT_FAILURES:
            log.exception("operational_event.not_fanned_out", event_id=str(alike[0].id))
            async with self._database.connection() as db:
                await operational_deliveries.put_off(db, alike, wait=PUT_OFF)
        return True

    def _left(self, tenant_id: TenantId, event_type: str) -> int:
        return self._pace.left(tenant_id, event_type, now=time.monotonic())

    def _alike(
        self, tenant_id: TenantId, due: Sequence[OperationalEvent]
    ) -> list[OperationalEvent]:
        """Those that go on together with the first, and no more of a type than may be sent."""
        alike: list[OperationalEvent] = []
        begins: Counter[str] = Counter()
        for each in due:
            if _place(each) != _place(due[0]):
                continue
            if _place(each) == BEGINNING:
                if begins[each.type] >= self._left(tenant_id, each.type):
                    continue
                begins[each.type] += 1
            alike.append(each)
        return alike

    async def _merge(self, tenant_id: TenantId, event_type: str) -> bool:
        """Merge what has to wait; returns whether there may be more."""
        rest = self._pace.ends_in(tenant_id, event_type, now=time.monotonic())
        async with self._database.transaction(durable=False) as db:
            merged = await operational_deliveries.merge(
                *(db, tenant_id, event_type),
                limit=MERGED_AT_ONCE,
                due_in=timedelta(seconds=rest),
            )
        if merged:
            log.info("operational_events.merged", tenant_id=str(tenant_id), events=merged)
        return merged == MERGED_AT_ONCE

    async def _serve(self, tenant_id: TenantId, events: Sequence[OperationalEvent]) -> None:
        """Insert the deliveries of these events to the next subscribers."""
        subscriptions = await self._subscriptions(tenant_id, events[0])
        wanted = await self._match(events, subscriptions)
        is_last = events[0].subscriber is not None or len(subscriptions) < SUBSCRIBERS_AT_ONCE
        up_to = None if is_last else subscriptions[-1].webhook_id
        # Need not be durable: a crash undoes the deliveries and the end of their events together.
        async with self._database.transaction(durable=False) as db:
            ours = await operational_deliveries.lock(db, events)
            locked = {each.number for each in ours}
            served = await operational_deliveries.insert(
                db, [pair for pair in wanted if pair[0].number in locked]
            )
            await operational_deliveries.end(db, ours, served_up_to=up_to)
        wanted_by_any = {event.number for event, _ in wanted}
        self._note(tenant_id, [each for each in ours if each.number in wanted_by_any])
        owners = {each.webhook_id: each.tenant_id for each in subscriptions}
        for webhook_id in served:
            self._waker.announce(webhook_id, 0.0, None, tenant_id=owners[webhook_id])

    async def _subscriptions(
        self, tenant_id: TenantId, event: OperationalEvent
    ) -> list[Subscription]:
        async with self._database.connection() as db:
            if event.subscriber is not None:
                return await operational_subscribers.one(db, tenant_id, event.subscriber)
            return await operational_subscribers.page(
                db, tenant_id, after=event.served_up_to, limit=SUBSCRIBERS_AT_ONCE
            )

    async def _match(
        self, events: Sequence[OperationalEvent], subscriptions: Sequence[Subscription]
    ) -> list[tuple[OperationalEvent, WebhookId]]:
        """Each event with each of its subscribers, by the rules for the application's events."""
        time_slice = TimeSlice(patient=True)
        matchers: Found = {}
        async with self._database.connection() as db:
            for each in subscriptions:
                if matcher := await matcher_of(db, each):
                    matchers[each.webhook_id] = matcher
                await time_slice.yield_if_used()
        return [
            (event, webhook_id)
            for event in events
            for webhook_id in await self._matcher.subscribers_among(
                matchers,
                Event(event.id, event.tenant_id, event.type, event.created_at),
                EventData(_data_of(event)),
                time_slice=time_slice,
            )
        ]

    def _note(self, tenant_id: TenantId, sent: Sequence[OperationalEvent]) -> None:
        """Count events with subscribers as they begin; further subscribers cost nothing."""
        begun = Counter(each.type for each in sent if _place(each) == BEGINNING)
        for event_type, count in begun.items():
            self._pace.sent(tenant_id, event_type, count, now=time.monotonic())


def _data_of(event: OperationalEvent) -> object:
    data = parse_json(event.data)
    return {**data, "count": event.count} if isinstance(data, dict) else data


def _place(event: OperationalEvent) -> tuple[WebhookId | None, WebhookId | None]:
    """How far an event is served: those at the same place go on together."""
    return event.served_up_to, event.subscriber
