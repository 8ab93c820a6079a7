"""
Fan-out of one tenant's events that take long: large ones, many, and those for hundreds of webhooks.

The rule: a tenant whose events are expensive pays for them alone. They are fanned out here in a
task of its own, piece by piece, while all others' go on; until then it gets no further turns.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial

import structlog

from daemon.core.errors import STATEMENT_FAILURES
from daemon.core.matching.index import SubscriptionIndex
from daemon.core.wire.body_size import MATCHED_BYTES
from daemon.core.wire.json_value import parse_json
from daemon.pipeline.delivery_inserter import DeliveryInserter, MatchedEvent
from daemon.pipeline.event_matcher import EventMatcher
from daemon.pipeline.interrupted_events import interrupted, without_served
from daemon.pipeline.subscription_cache import SubscriptionCache
from daemon.runtime.metrics import Metrics
from daemon.runtime.offload import Offload
from daemon.runtime.time_slice import TimeSlice
from daemon.store import inbox_leases
from daemon.store.database import Database
from daemon.store.leased_events import LeasedEvent, Leasing
from daemon.store.payload_size import event_data, measure_event

log = structlog.get_logger()

INSERTED_AT_ONCE = 500  # deliveries
COPIED_AT_ONCE = 8 * 1024 * 1024  # bytes of data: each delivery has its own copy
LARGE_DATA_BYTES = 1024 * 1024  # parsed, data may take thirty times their size: one at a time
# Pieces of different tenants that are worked on at once: each takes a connection.
PIECES_AT_ONCE = 3
LONGEST_REST_SECONDS = 1.0


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
        self._pieces = asyncio.Semaphore(PIECES_AT_ONCE)
        self._large_data = asyncio.Lock()

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
        async with self._pieces:
            index = await self._cache.load(tenant_id)
        left: list[LeasedEvent] = []
        for leased in events:
            began = time.monotonic()
            try:
                async with self._pieces:
                    began = time.monotonic()
                    ours = await self._still_ours(leased)
                    if ours is None:
                        left.append(leased)
                    else:
                        left += await self._fan_out_event(ours, await self._size_of(ours), index)
            except STATEMENT_FAILURES:
                log.exception("event.not_fanned_out", event_id=str(leased.event.id))
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
                async with self._pieces:
                    if len(piece) == 1:
                        left += await self._insert(piece[0])
                    else:
                        left += (await self._inserter.insert(piece)).locked
            except STATEMENT_FAILURES:
                left += await self.fan_out([each.leased for each in piece])
        return left

    async def _still_ours(self, leased: LeasedEvent) -> LeasedEvent | None:
        async with self._database.connection() as db:
            prolonged = await inbox_leases.prolong(
                *(db, [leased]),
                daemon_key=self._leasing.daemon_key,
                lease=self._leasing.long_lease,
            )
        return prolonged[0] if prolonged else None

    async def _size_of(self, leased: LeasedEvent) -> int:
        if leased.payload_bytes is not None:
            return leased.payload_bytes
        async with self._database.connection() as db:
            return await measure_event(db, leased.event.id, most_bytes=self._leasing.most_bytes)

    async def _fan_out_event(
        self, leased: LeasedEvent, size: int, index: SubscriptionIndex
    ) -> list[LeasedEvent]:
        event = leased.event
        if (leased.again or index.needs_data(event.type)) and size <= MATCHED_BYTES:
            async with self._large_data if size > LARGE_DATA_BYTES else nullcontext():
                data = await self._data_of(leased)
                matched = await self._match(leased, size, data, index)
        else:
            # Too large data match no condition, as if there were none.
            matched = await self._match(leased, size, None, index)
        return await self._insert(matched)

    async def _data_of(self, leased: LeasedEvent) -> object:
        text = leased.data
        if text is None:
            async with self._database.connection() as db:
                _, text = await event_data(db, leased.event.id, most_bytes=MATCHED_BYTES)
        return await self._offload.run(
            partial(parse_json, text), size=len(text or ""), owner=leased.event.tenant_id
        )

    async def _match(
        self, leased: LeasedEvent, size: int, data: object, index: SubscriptionIndex
    ) -> MatchedEvent:
        time_slice = TimeSlice(patient=True)
        webhooks = await self._matcher.subscribers_of(
            leased.event, data, index, time_slice=time_slice
        )
        if (up_to := leased.served_up_to) is not None:
            webhooks = [each for each in webhooks if each > up_to]
        if leased.again:
            webhooks = await self._matcher.and_paused(
                *(leased, data, webhooks, await interrupted(self._database, leased)),
                time_slice=time_slice,
            )
        [matched] = await without_served(
            self._database, [MatchedEvent(leased, webhooks, size)], self._metrics
        )
        return matched

    async def _insert(self, matched: MatchedEvent) -> list[LeasedEvent]:
        """
        Insert an event's deliveries, in several transactions if they are many or large.

        Returns the event if it is left.
        """
        webhooks = matched.webhooks
        at_once = min(INSERTED_AT_ONCE, max(1, COPIED_AT_ONCE // max(1, matched.payload_bytes)))
        if matched.payload_bytes > self._leasing.most_bytes:  # their data are not copied
            at_once = INSERTED_AT_ONCE
        while len(webhooks) > at_once:
            some, webhooks = webhooks[:at_once], webhooks[at_once:]
            leased = await self._inserter.insert_some(matched, some)
            if leased is None:
                return [matched.leased]
            matched = MatchedEvent(leased, webhooks, matched.payload_bytes)
        return (await self._inserter.insert([matched])).locked


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
