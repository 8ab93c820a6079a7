"""
Fan-out of one tenant's events that take long: large ones, many, and those for hundreds of webhooks.

The rule: a tenant whose events are expensive pays for them alone. They are fanned out here in a
task of its own, piece by piece, while all others' go on; until then it gets no further turns. Here,
too, those that recently took little come first, and what is quick to match waits for nothing long.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from math import inf

import structlog

from daemon.core.errors import STATEMENT_FAILURES
from daemon.core.matching.condition_index import Found
from daemon.core.matching.event_data import EventData
from daemon.core.matching.index import SubscriptionIndex
from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.wire.body_size import MATCHED_BYTES
from daemon.core.wire.json_value import parse_matched
from daemon.pipeline.delivery_inserter import DeliveryInserter, MatchedEvent
from daemon.pipeline.event_matcher import EventMatcher
from daemon.pipeline.interrupted_events import paused_pages, without_served
from daemon.pipeline.subscription_cache import SubscriptionCache
from daemon.runtime.loop_share import LoopShare
from daemon.runtime.metrics import Metrics
from daemon.runtime.offload import Offload
from daemon.runtime.shared_slice import SharedSlice
from daemon.runtime.stages import Stage, Stages
from daemon.runtime.time_slice import TimeSlice
from daemon.runtime.turns import Turns
from daemon.store import inbox_leases
from daemon.store.database import Database
from daemon.store.leased_events import LeasedEvent, Leasing
from daemon.store.payload_size import UNPRINTABLE_BYTES, event_data, measure_event
from daemon.store.session import Connection

log = structlog.get_logger()

INSERTED_AT_ONCE = 500  # deliveries
COPIED_AT_ONCE = 2 * 1024 * 1024  # bytes of data: each delivery has its own copy
# Places to match in, by the data's largest size: parsed, they may take thirty times that, and each
# place may keep subscriptions of 32 MiB. Large data are matched one at a time.
LARGE_DATA_BYTES = 1024 * 1024
PLACES = (
    (64 * 1024, (Stage(3, 0.025), Stage(1, 0.5), Stage(2, inf))),
    (LARGE_DATA_BYTES, (Stage(1, 0.1), Stage(1, inf))),
    (inf, (Stage(1, inf),)),
)
# Each takes a connection: those for different tenants that are short, and one that may be long.
SHORT_STATEMENTS = 2
SHORT_COPY_BYTES = 256 * 1024
SHORT_MEASURE_SECONDS = 0.1
LONGEST_REST_SECONDS = 1.0
# Subscriptions that are too large to be kept are read in a quarter of the time of the loop and of
# one connection, for as many events as have few data together.
READING_RESTS = 3.0
READ_FOR_EVENTS, READ_FOR_BYTES = 100, 256 * 1024


RENEWED_SECONDS = 20.0  # leases, while that is done


@dataclass(slots=True)
class _Event:
    """An event with its size and its data, if they are needed; its lease is renewed."""

    leased: LeasedEvent
    size: int
    data: object

    @property
    def up_to(self) -> WebhookId | None:
        """The last webhook that has it."""
        return self.leased.served_up_to


_Sizes = Sequence[tuple[LeasedEvent, int]]
_Match = Callable[[_Sizes], Awaitable[list[MatchedEvent]]]


class TenantFanout:
    """Fans out the leased events of one tenant at a time, for several tenants at once."""

    def __init__(
        self,
        database: Database,
        cache: SubscriptionCache,
        inserter: DeliveryInserter,
        *,
        leasing: Leasing,
        offload: Offload,
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._cache = cache
        self._inserter = inserter
        self._leasing = leasing
        self._offload = offload
        self._matcher = EventMatcher(database)
        self._share = LoopShare()
        self._places = [(size, Stages(stages, self._share)) for size, stages in PLACES]
        self._statements, self._long_statements = Turns(SHORT_STATEMENTS), Turns()
        # One tenant at a time compiles its filters: to keep them, and those too large to be kept.
        self._loading, self._reading_again = Turns(), Turns()

    async def fan_out(
        self, events: Sequence[LeasedEvent], *, rests: float = 0.0
    ) -> list[LeasedEvent]:
        """
        Fan out events of one tenant, and rest after each for `rests` times as long as it took.

        Returns those that are left: their leases were lost, or others hold their rows. An event
        that cannot be fanned out is logged and left to its lease: it comes again after that, and
        stops no other event. Raises DatabaseUnavailableError.
        """
        tenant_id = events[0].event.tenant_id
        left: list[LeasedEvent] = []
        rest = list(events)
        while rest:
            began = time.monotonic()
            count, again = await self._fan_out_first(tenant_id, rest)
            left += again
            del rest[:count]
            if rests:
                await asyncio.sleep(min(rests * (time.monotonic() - began), LONGEST_REST_SECONDS))
        return left

    async def insert(self, matched: Sequence[MatchedEvent]) -> list[LeasedEvent]:
        """
        Insert the deliveries of one tenant's events, of some events at a time.

        Returns those that are left, as `fan_out`. Raises DatabaseUnavailableError.
        """
        left: list[LeasedEvent] = []
        for piece in _pieces(matched):
            try:
                left += await (
                    self._insert(piece[0]) if len(piece) == 1 else self._insert_at_once(piece)
                )
            except STATEMENT_FAILURES:
                left += await self.fan_out([each.leased for each in piece])
        return left

    async def _fan_out_first(
        self, tenant_id: TenantId, events: Sequence[LeasedEvent]
    ) -> tuple[int, list[LeasedEvent]]:
        """Fan out the first of these events; returns how many, and those of them that are left."""
        if not (self._cache.is_loaded(tenant_id) or self._cache.is_too_large(tenant_id)):
            async with self._loading.of(tenant_id):
                await self._cache.load(tenant_id, SharedSlice(self._share, tenant_id))
        if not self._cache.is_too_large(tenant_id):
            return 1, await self._fan_out(events[:1], self._matched)
        async with self._reading_again.of(tenant_id):
            if await self._cache.load(tenant_id, SharedSlice(self._share, tenant_id)) is not None:
                return 0, []
            some = events[: _small_among(events)]
            return len(some), await self._fan_out(some, self._matched_by_reading)

    async def _fan_out(self, events: Sequence[LeasedEvent], match: _Match) -> list[LeasedEvent]:
        """Fan out some events, each alone if that fails; returns those that are left."""
        try:
            ours = await self._still_ours(events)
            left = [each for each in events if not any(_is_same(each, other) for other in ours)]
            if ours:
                for matched in await match([(each, await self._size_of(each)) for each in ours]):
                    left += await self._insert(matched)
        except STATEMENT_FAILURES:
            if len(events) > 1:
                return [lost for each in events for lost in await self._fan_out([each], match)]
            log.exception("event.not_fanned_out", event_id=str(events[0].event.id))
            return []
        return left

    @asynccontextmanager
    async def _connection(self, tenant_id: TenantId) -> AsyncIterator[Connection]:
        async with self._statements.of(tenant_id), self._database.connection() as db:
            yield db

    async def _still_ours(self, events: Sequence[LeasedEvent]) -> list[LeasedEvent]:
        async with self._connection(events[0].event.tenant_id) as db:
            return await inbox_leases.prolong(
                *(db, events),
                daemon_key=self._leasing.daemon_key,
                lease=self._leasing.long_lease,
            )

    async def _size_of(self, leased: LeasedEvent) -> int:
        if leased.payload_bytes is not None:
            return leased.payload_bytes
        tenant_id, most_bytes = leased.event.tenant_id, self._leasing.most_bytes
        measure = partial(measure_event, event_id=leased.event.id, most_bytes=most_bytes)
        async with self._connection(tenant_id) as db:
            size = await measure(db, seconds=SHORT_MEASURE_SECONDS)
        if size < UNPRINTABLE_BYTES:
            return size
        async with self._long_statements.of(tenant_id), self._database.connection() as db:
            return await measure(db)

    async def _matched(self, sizes: _Sizes) -> list[MatchedEvent]:
        """Match these events of a tenant whose subscriptions are kept, in a place for that."""
        tenant_id = sizes[0][0].event.tenant_id
        index = self._cache.index_of(tenant_id) if self._cache.knows(tenant_id) else None
        places = self._places_for(_data_size(sizes, index))
        renewed_at = time.monotonic()

        async def match(time_slice: TimeSlice) -> list[MatchedEvent]:
            nonlocal sizes, renewed_at
            if time.monotonic() - renewed_at > RENEWED_SECONDS:
                leased = await self._renewed([each for each, _ in sizes])
                sizes = [(each, size) for each, (_, size) in zip(leased, sizes, strict=True)]
                renewed_at = time.monotonic()
            # It may have been forgotten meanwhile: what waits for a place keeps none in memory.
            index = await self._cache.load(tenant_id, time_slice)
            return await self._match(sizes, index, time_slice)

        return await self._unserved(tenant_id, await places.run(tenant_id, match))

    async def _matched_by_reading(self, sizes: _Sizes) -> list[MatchedEvent]:
        """Match these events of a tenant whose subscriptions are read for them."""
        tenant_id = sizes[0][0].event.tenant_id
        time_slice = SharedSlice(self._share, tenant_id, rests=READING_RESTS)
        size = _data_size(sizes, None)
        if size > LARGE_DATA_BYTES:
            matched = await self._places_for(size).run(
                tenant_id, lambda _: self._match(sizes, None, time_slice)
            )
        else:
            matched = await self._match(sizes, None, time_slice)
        return await self._unserved(tenant_id, matched)

    def _places_for(self, size: int) -> Stages:
        return next(stages for most, stages in self._places if size <= most)

    async def _unserved(
        self, tenant_id: TenantId, matched: Sequence[MatchedEvent]
    ) -> list[MatchedEvent]:
        async with self._statements.of(tenant_id):
            return await without_served(self._database, matched, self._metrics)

    async def _data_of(self, leased: LeasedEvent) -> object:
        text = leased.data
        if text is None:
            async with self._connection(leased.event.tenant_id) as db:
                _, text = await event_data(db, leased.event.id, most_bytes=MATCHED_BYTES)
        return await self._offload.run(
            partial(parse_matched, text), size=len(text or ""), owner=leased.event.tenant_id
        )

    async def _match(
        self, sizes: _Sizes, index: SubscriptionIndex | None, time_slice: TimeSlice
    ) -> list[MatchedEvent]:
        """Read the data of these events, where they decide, and match them."""
        events = [
            _Event(
                each, size, await self._data_of(each) if _needs_data(each, size, index) else None
            )
            for each, size in sizes
        ]
        if index is None:
            pages = self._cache.pages(events[0].leased.event.tenant_id, time_slice)
            found = await self._among(pages, events, time_slice)
        else:
            found = [
                await self._matcher.subscribers_of(
                    each.leased.event, each.data, index, time_slice=time_slice
                )
                for each in events
            ]
        matched: list[MatchedEvent] = []
        for each, webhooks in zip(events, found, strict=True):
            wanted = {w for w in webhooks if each.up_to is None or w > each.up_to}
            if each.leased.again:
                pages = paused_pages(self._database, each.leased, time_slice)
                wanted.update(*await self._among(pages, [each], time_slice))
            matched.append(MatchedEvent(each.leased, sorted(wanted), each.size))
        return matched

    async def _among(
        self, pages: AsyncIterator[Found], events: Sequence[_Event], time_slice: TimeSlice
    ) -> list[list[WebhookId]]:
        """The webhooks of all pages that want each event."""
        data = [EventData(each.data) for each in events]
        webhooks: list[list[WebhookId]] = [[] for _ in events]
        renewed_at = time.monotonic()
        async for page in pages:
            if time.monotonic() - renewed_at > RENEWED_SECONDS:
                leased = await self._renewed([each.leased for each in events])
                for each, renewed in zip(events, leased, strict=True):
                    each.leased = renewed
                renewed_at = time.monotonic()
            for each, of_event, found in zip(events, data, webhooks, strict=True):
                found.extend(
                    await self._matcher.subscribers_among(
                        page, each.leased.event, of_event, time_slice=time_slice
                    )
                )
        return webhooks

    async def _renewed(self, events: Sequence[LeasedEvent]) -> list[LeasedEvent]:
        """Prolong the leases of these events; one that was lost is noticed when it is inserted."""
        ours = await self._still_ours(events)
        return [next((own for own in ours if _is_same(own, each)), each) for each in events]

    async def _insert(self, matched: MatchedEvent) -> list[LeasedEvent]:
        """
        Insert an event's deliveries, in several transactions if they are many or large.

        Returns the event if it is left.
        """
        webhooks, tenant_id = matched.webhooks, matched.leased.event.tenant_id
        size = self._copied_of(matched)
        at_once = min(INSERTED_AT_ONCE, max(1, COPIED_AT_ONCE // max(1, size)))
        while len(webhooks) > at_once:
            some, webhooks = webhooks[:at_once], webhooks[at_once:]
            async with self._copying(len(some) * size).of(tenant_id):
                leased = await self._inserter.insert_some(matched, some)
            if leased is None:
                return [matched.leased]
            matched = MatchedEvent(leased, webhooks, matched.payload_bytes)
        return await self._insert_at_once([matched])

    async def _insert_at_once(self, matched: Sequence[MatchedEvent]) -> list[LeasedEvent]:
        copied = sum(len(each.webhooks) * self._copied_of(each) for each in matched)
        async with self._copying(copied).of(matched[0].leased.event.tenant_id):
            return (await self._inserter.insert(matched)).locked

    def _copied_of(self, matched: MatchedEvent) -> int:
        """The bytes that a delivery gets: what is too large to be sent is not copied."""
        size = matched.payload_bytes
        return size if size <= self._leasing.most_bytes else 0

    def _copying(self, size: int) -> Turns:
        """Places to copy so many bytes in."""
        return self._statements if size <= SHORT_COPY_BYTES else self._long_statements


def _is_same(one: LeasedEvent, other: LeasedEvent) -> bool:
    return (one.event.id, one.event.only) == (other.event.id, other.event.only)


def _needs_data(leased: LeasedEvent, size: int, index: SubscriptionIndex | None) -> bool:
    """Whether the data decide who gets it; too large ones match no condition, as if none."""
    by_data = leased.again or index is None or index.needs_data(leased.event.type)
    return by_data and size <= MATCHED_BYTES


def _data_size(sizes: _Sizes, index: SubscriptionIndex | None) -> int:
    """The bytes of the largest data that are needed."""
    return max(size if _needs_data(each, size, index) else 0 for each, size in sizes)


def _small_among(events: Sequence[LeasedEvent]) -> int:
    """How many of the first events have few data together; one at least."""
    size = 0
    for count, each in enumerate(events[:READ_FOR_EVENTS]):
        size += READ_FOR_BYTES if each.payload_bytes is None else each.payload_bytes
        if size > READ_FOR_BYTES:
            return max(1, count)
    return min(len(events), READ_FOR_EVENTS)


def _pieces(matched: Sequence[MatchedEvent]) -> Iterator[list[MatchedEvent]]:
    piece: list[MatchedEvent] = []
    count = size = 0
    for each in matched:
        more, larger = len(each.webhooks), each.copied_bytes
        if piece and (count + more > INSERTED_AT_ONCE or size + larger > COPIED_AT_ONCE):
            yield piece
            piece, count, size = [], 0, 0
        piece.append(each)
        count, size = count + more, size + larger
    if piece:
        yield piece
