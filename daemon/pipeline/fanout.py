"""
Fan-out: each committed event becomes one delivery for each webhook that wants it.

Events are leased, tenants in turn; matched outside of any transaction; and their deliveries are
inserted in one transaction with the inbox rows' removal. What takes long, to match or to insert, is
handed over to `TenantFanout`, so that one tenant's events never delay another's.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain

import structlog

from daemon.core.errors import ROW_FAILURES, STATEMENT_FAILURES, DatabaseUnavailableError
from daemon.core.matching.event_data import EventData
from daemon.core.model.ids import EventId, TenantId, WebhookId
from daemon.core.scheduling.batch_size import BatchSize
from daemon.core.scheduling.slow_tenants import SlowTenants
from daemon.core.wire.json_value import parse_json
from daemon.pipeline.delivery_inserter import DeliveryInserter, MatchedEvent
from daemon.pipeline.dispatcher import Dispatcher
from daemon.pipeline.event_matcher import EventMatcher
from daemon.pipeline.first_attempts import FirstAttempts
from daemon.pipeline.inbox_reader import InboxReader
from daemon.pipeline.interrupted_events import Interrupted, interrupted_among, without_served
from daemon.pipeline.open_events import OpenEvents
from daemon.pipeline.subscription_cache import SubscriptionCache
from daemon.pipeline.tenant_fanout import TenantFanout
from daemon.runtime.metrics import Metrics
from daemon.runtime.offload import Offload
from daemon.runtime.time_slice import TimeSlice
from daemon.store.database import Database
from daemon.store.endpoints import KnownEndpoints
from daemon.store.leased_events import LeasedEvent, Leasing

log = structlog.get_logger()

POLL_SECONDS = 0.9  # events of sessions with webhookd.notify = 'off' are not announced
LEAST_EVENTS, MOST_EVENTS = 100, 500  # of one turn
TURN_SECONDS = 0.1
QUEUE_SECONDS = 0.005  # until some first attempts have begun
# So often events of others are looked for while some tenants' events stay in the inbox.
CROWDED_SECONDS = 0.03
# The share of a turn for one tenant's events, in seconds; the rest is handed over.
TENANT_SECONDS = 0.02
MANY_WEBHOOKS = 100
TENANT_DELIVERIES = 200
TURN_DELIVERIES = 2000  # of all tenants, about half a second of work
TENANT_BYTES = 1024 * 1024
RETRY_SECONDS = 1.0
# Attempts wait a little more before they begin: a change of a webhook is known within a second.
ENDPOINT_SECONDS = 0.3
# Of a tenant whose webhooks have many dead versions, each row that is inserted reads them.
SLOW_RESTS = 3.0


@dataclass(slots=True)
class HandedOver:
    """Work for one tenant beside the turns."""

    events: list[LeasedEvent] = field(default_factory=list)
    matched: list[MatchedEvent] = field(default_factory=list)

    @property
    def event_ids(self) -> Iterator[EventId]:
        """All events."""
        yield from (each.event.id for each in self.events)
        yield from (each.leased.event.id for each in self.matched)


class Fanout:
    """The loop; it announces each webhook that got deliveries."""

    name = "fanout"

    def __init__(
        self,
        database: Database,
        first_attempts: FirstAttempts,
        dispatcher: Dispatcher,
        events: OpenEvents,
        inserter: DeliveryInserter,
        *,
        leasing: Leasing,
        offload: Offload,
        metrics: Metrics,
        slow: SlowTenants,
    ) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._metrics = metrics
        self._events = events
        self._first_attempts = first_attempts
        self._dispatcher = dispatcher
        self._size = BatchSize(least=LEAST_EVENTS, most=MOST_EVENTS, seconds=TURN_SECONDS)
        self._cache = SubscriptionCache(database)
        self._slow = slow
        self._inbox = InboxReader(database, self._cache, wake=self.wake, leasing=leasing, slow=slow)
        self.search = self._inbox.search
        self._matcher = EventMatcher(database)
        self._inserter = inserter
        self._tenant_fanout = TenantFanout(
            *(database, self._cache, self._inserter),
            leasing=leasing,
            offload=offload,
            metrics=metrics,
        )
        self._look_at = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._handed_over: dict[TenantId, HandedOver] = {}

    def behind_seconds(self) -> float:
        """How long the first tenant in line has waited for its turn, 0 if none does."""
        return self._inbox.turns.waited(now=time.monotonic())

    async def run_once(self) -> float:
        began = time.monotonic()
        crowded = self._first_attempts.crowded
        self._inbox.turns.rest(crowded, now=began)
        if crowded and not self._inbox.turns.in_line and began < self._look_at:
            return QUEUE_SECONDS
        self._look_at = began + CROWDED_SECONDS
        for key in self._inserter.due_again(now=began):
            self._inbox.turns.look_at(key)
            self.search.wake.set()
        handed_over = (work.event_ids for work in self._handed_over.values())
        leased, complete = await self._inbox.lease_next(
            limit=self._first_attempts.events_at_once(self._size.size),
            held=chain(chain.from_iterable(handed_over), self._events.event_ids),
            most_of=self._first_attempts.events_of,
        )
        # A lease of our own may have lapsed: what is open goes on with the new one.
        events = [e for e in leased.events if not (e.again and self._events.renew(e))]
        await self._fan_out(events, leased.endpoints, read_at=began)
        now = time.monotonic()
        self._size.took(now - began)
        if crowded and not events:
            return QUEUE_SECONDS
        if not complete:
            return 0.0
        due_in = min(self._inserter.next_due_in(now=now), self._inbox.give_back_in(now=now))
        return max(0.0, min(POLL_SECONDS, due_in))

    async def drain(self, *, within: float) -> None:
        """End the work that was handed over."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=within)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    async def release_all(self) -> None:
        """Give back all events, once the results of their attempts are stored."""
        with suppress(DatabaseUnavailableError, TimeoutError):
            async with asyncio.timeout(RETRY_SECONDS):
                await self._inbox.release_all()

    async def _fan_out(
        self, leased: Sequence[LeasedEvent], endpoints: KnownEndpoints, *, read_at: float
    ) -> None:
        """Fan out first the events of tenants whose subscriptions need not be read."""
        tenants = {each.event.tenant_id for each in leased}
        current = {each for each in tenants if self._cache.is_current(each)}
        await_reading = [each for each in leased if each.event.tenant_id not in current]
        try:
            await self._fan_out_together(
                [each for each in leased if each.event.tenant_id in current], endpoints, read_at
            )
        except BaseException:
            self._inbox.give_back(await_reading)
            raise
        await self._fan_out_together(await_reading, endpoints, read_at)

    async def _fan_out_together(
        self, leased: Sequence[LeasedEvent], endpoints: KnownEndpoints, read_at: float
    ) -> None:
        """Fan out what is quick, and hand over the rest."""
        if not leased:
            return
        many: list[MatchedEvent] = []
        try:
            matched, dear = await self._match(leased)
            matched, beyond = _within_a_turn(matched)
            try:
                recent = time.monotonic() < read_at + ENDPOINT_SECONDS
                left = await self._first_attempts.begin(
                    matched, self._dispatcher, known=endpoints if recent else {}
                )
                rest, many = _split(left)
                many += beyond
                if rest:
                    self._inbox.give_back((await self._inserter.insert(rest)).locked)
            except ROW_FAILURES:
                # One of them cannot be inserted: alone, it stops no others.
                dear += [each.leased for each in matched if not self._events.has(each.leased)]
                many = beyond
        except BaseException:
            self._inbox.give_back(each for each in leased if not self._events.has(each))
            raise
        self._metrics.pipeline.events_fanned_out.inc(len(leased) - len(dear))
        for each in dear:
            self._work_for(each.event.tenant_id).events.append(each)
        for event in many:
            self._work_for(event.leased.event.tenant_id).matched.append(event)

    async def _match(
        self, leased: Sequence[LeasedEvent]
    ) -> tuple[list[MatchedEvent], list[LeasedEvent]]:
        """As `_match_quick`; if one of them fails, each tenant's are worked on apart."""
        try:
            return await self._match_quick(leased)
        except ROW_FAILURES:
            log.exception("fanout.matching_failed", events=len(leased))
            return [], list(leased)

    async def _match_quick(
        self, leased: Sequence[LeasedEvent]
    ) -> tuple[list[MatchedEvent], list[LeasedEvent]]:
        """Match the events that take no longer than others; returns them, and the rest."""
        tenants, now = {each.event.tenant_id for each in leased}, time.monotonic()
        slow = {each for each in tenants if self._slow.is_slow(each, now=now)}
        dear_tenants = slow | await self._cache.load_few(tenants - slow)
        interrupted = await self._interrupted_among(leased)
        time_slice = TimeSlice()
        spent: dict[TenantId, float] = defaultdict(float)
        matched: list[MatchedEvent] = []
        dear: list[LeasedEvent] = []
        for each in leased:
            tenant_id, size = each.event.tenant_id, each.payload_bytes
            if each.again and tenant_id in interrupted.take_long:
                dear_tenants.add(tenant_id)
            is_known = tenant_id not in dear_tenants and self._cache.knows(tenant_id)
            if not is_known or size is None or each.served_up_to is not None:
                dear.append(each)
                continue
            webhooks = self._known_webhooks_of(each)
            if webhooks is None:
                began = time.thread_time()  # a busy machine makes no tenant dear
                webhooks = await self._webhooks_of(each, interrupted, time_slice)
                spent[tenant_id] += time.thread_time() - began
                if spent[tenant_id] > TENANT_SECONDS:
                    dear_tenants.add(tenant_id)
            if len(webhooks) > MANY_WEBHOOKS:
                dear.append(each)
            else:
                matched.append(MatchedEvent(each, webhooks, size))
        return await self._without_served(matched, dear), dear

    async def _interrupted_among(self, leased: Sequence[LeasedEvent]) -> Interrupted:
        try:
            return await interrupted_among(self._database, leased)
        except STATEMENT_FAILURES:  # one tenant's row: alone, it stops no others
            return Interrupted(take_long={each.event.tenant_id for each in leased})

    async def _without_served(
        self, matched: list[MatchedEvent], dear: list[LeasedEvent]
    ) -> list[MatchedEvent]:
        """Leave out who has a delivery; where that is not to be found out at once, it is `dear`."""
        try:
            return await without_served(self._database, matched, self._metrics)
        except STATEMENT_FAILURES:
            dear += [each.leased for each in matched if each.leased.again]
            return [each for each in matched if not each.leased.again]

    def _known_webhooks_of(self, leased: LeasedEvent) -> Sequence[WebhookId] | None:
        """Those of events that were found before, where only the type decides."""
        event = leased.event
        if leased.again or event.only is not None:
            return None
        return self._cache.index_of(event.tenant_id).known_subscribers(event.type)

    async def _webhooks_of(
        self, leased: LeasedEvent, interrupted: Interrupted, time_slice: TimeSlice
    ) -> list[WebhookId]:
        index = self._cache.index_of(leased.event.tenant_id)
        version = index.version
        needs_data = leased.again or index.needs_data(leased.event.type)
        data = parse_json(leased.data) if needs_data else None
        webhooks = await self._matcher.subscribers_of(
            leased.event, data, index, time_slice=time_slice
        )
        if not leased.again:
            if leased.event.only is None:
                index.remember(leased.event.type, webhooks, version=version)
            return webhooks
        paused = interrupted.paused_since(leased)
        also = await self._matcher.subscribers_among(
            paused, leased.event, EventData(data), time_slice=time_slice
        )
        return sorted({*webhooks, *also})

    def _work_for(self, tenant_id: TenantId) -> HandedOver:
        """The tenant's task, which begins in the loop's next iteration."""
        work = self._handed_over.get(tenant_id)
        if work is None:
            self._inbox.turns.hold(tenant_id)
            work = self._handed_over[tenant_id] = HandedOver()
            task = asyncio.create_task(self._fan_out_tenant(tenant_id, work))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return work

    async def _fan_out_tenant(self, tenant_id: TenantId, work: HandedOver) -> None:
        try:
            while work.matched or work.events:
                matched, events = list(work.matched), list(work.events)
                left = await self._tenant_fanout.insert(matched)
                del work.matched[: len(matched)]
                self._inbox.give_back(left)
                if events:
                    is_slow = self._slow.is_slow(tenant_id, now=time.monotonic())
                    rests = SLOW_RESTS if is_slow else 0.0
                    left = await self._tenant_fanout.fan_out(events, rests=rests)
                    del work.events[: len(events)]
                    self._inbox.give_back(left)
        except Exception as error:
            if isinstance(error, DatabaseUnavailableError):
                log.warning("fanout.tenant_failed", tenant_id=str(tenant_id), reason=str(error))
            else:
                log.exception("fanout.tenant_failed", tenant_id=str(tenant_id))
            await asyncio.sleep(RETRY_SECONDS)
            self._inbox.free_unknown_leases()
        finally:
            del self._handed_over[tenant_id]
            self._inbox.turns.let_go(tenant_id, now=time.monotonic())
            self.wake.set()


def _within_a_turn(
    matched: list[MatchedEvent],
) -> tuple[list[MatchedEvent], list[MatchedEvent]]:
    """As many events as a turn should begin, of tenants with few deliveries first; the others."""
    counts: dict[TenantId, int] = defaultdict(int)
    for each in matched:
        counts[each.leased.event.tenant_id] += len(each.webhooks)
    total = 0
    beyond: set[TenantId] = set()
    for tenant_id in sorted(counts, key=counts.__getitem__):
        total += counts[tenant_id]
        if total > TURN_DELIVERIES:
            beyond.add(tenant_id)
    if not beyond:
        return matched, []
    within = [each for each in matched if each.leased.event.tenant_id not in beyond]
    return within, [each for each in matched if each.leased.event.tenant_id in beyond]


def _split(matched: Iterable[MatchedEvent]) -> tuple[list[MatchedEvent], list[MatchedEvent]]:
    """The events of tenants with few deliveries, and those of the others."""
    by_tenant: dict[TenantId, list[MatchedEvent]] = defaultdict(list)
    for each in matched:
        by_tenant[each.leased.event.tenant_id].append(each)
    few: list[MatchedEvent] = []
    many: list[MatchedEvent] = []
    for events in by_tenant.values():
        count = sum(len(each.webhooks) for each in events)
        size = sum(each.copied_bytes for each in events)
        (many if count > TENANT_DELIVERIES or size > TENANT_BYTES else few).extend(events)
    return few, many
