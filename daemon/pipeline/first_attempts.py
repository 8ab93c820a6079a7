"""
First attempts that are made from the inbox, without a row before their result.

Where none waits, an attempt begins at once; the others are queued in memory, and the dispatcher
begins them in their lanes' turns. The rule: only what is likely to begin soon is queued, within
bounds by tenant; everything else, and what could not begin after all, becomes a pending row. So a
change of a webhook is known to all of its attempts within a second, as it is to those that are
claimed.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Protocol

import structlog

from daemon.core.errors import STATEMENT_FAILURES
from daemon.core.model.attempts import Claim
from daemon.core.model.ids import DeliveryId, TenantId, WebhookId
from daemon.core.scheduling.attempts_per_event import AttemptsPerEvent
from daemon.core.scheduling.lanes import Lanes
from daemon.pipeline.attempt_queue import AttemptQueue, few_of_each
from daemon.pipeline.delivery_inserter import DeliveryInserter, MatchedEvent
from daemon.pipeline.lane_waker import LaneWaker
from daemon.pipeline.open_events import OpenEvent, OpenEvents
from daemon.pipeline.paced_starts import FIRST_AT_ONCE
from daemon.store import endpoints, results
from daemon.store.database import Database
from daemon.store.deliveries import NewDelivery
from daemon.store.delivery_ids import new_delivery_id
from daemon.store.endpoints import Endpoint, KnownEndpoints
from daemon.store.leased_events import Leasing

log = structlog.get_logger()

QUEUED_SECONDS = 0.4
SWEEP_SECONDS, IDLE_SECONDS = 0.2, 5.0  # while some wait, and while none does
STORED_AT_ONCE = 500  # rows; results wait meanwhile
# Pauses between tries of rows whose event another transaction holds, mostly for a moment.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 1.0
MOST_PUT_OFF = 4 * STORED_AT_ONCE  # rows that wait; more events stay in the inbox
NOT_READY = None, None


class Starter(Protocol):
    """The dispatcher, which begins attempts."""

    def may_begin(self, *, now: float) -> bool:
        """Whether attempts that the lanes admit may begin, until other work has its turn."""

    def start(self, claim: Claim) -> None:
        """Begin an attempt that a lane has admitted."""

    def host_of(self, url: str) -> str | None:
        """The address of this URL's host, None if unknown."""


class FirstAttempts:
    """The queue, and the loop that turns what waits in it for too long into pending rows."""

    name = "first_attempts"

    def __init__(
        self,
        database: Database,
        lanes: Lanes,
        waker: LaneWaker,
        inserter: DeliveryInserter,
        events: OpenEvents,
        *,
        leasing: Leasing,
    ) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._lanes = lanes
        self._inserter = inserter
        self._events = events
        self._leasing = leasing
        self._waker = waker
        self._queue = AttemptQueue()
        self._put_off: list[NewDelivery] = []
        self._locked: list[NewDelivery] = []  # others hold their events: put off again later
        self._pause, self._try_locked_at = FIRST_PAUSE_SECONDS, 0.0
        self._per_event = AttemptsPerEvent()
        self._most_are_begun = True
        # Whether the last insert of these was interrupted, so that they may have been committed.
        self._end_unknown = False

    @property
    def crowded(self) -> set[TenantId]:
        """The tenants of which fan-out should lease no more events."""
        crowded = self._queue.crowded
        if len(self._put_off) + len(self._locked) >= MOST_PUT_OFF:
            counts = Counter(each.tenant_id for each in chain(self._put_off, self._locked))
            few = few_of_each(MOST_PUT_OFF, tenants=len(counts))
            crowded |= {tenant_id for tenant_id, count in counts.items() if count > few}
        return crowded

    def __len__(self) -> int:
        """How many wait."""
        return len(self._queue)

    def events_at_once(self, most: int) -> int:
        """
        How many events to lease: no more than will begin soon.

        Others would wait here until they have become pending rows, which cost three times as much.
        """
        if not self._most_are_begun:
            return most
        typical = self._per_event.typical(now=time.monotonic())
        return max(1, min(most, int(self._queue.soon / typical)))

    def events_of(self, tenant_id: TenantId) -> int:
        """How many events of one tenant to lease at once, likewise."""
        attempts = self._queue.soon if self._most_are_begun else STORED_AT_ONCE
        return max(1, int(attempts / self._per_event.of(tenant_id)))

    async def begin(
        self, matched: Sequence[MatchedEvent], starter: Starter, *, known: KnownEndpoints
    ) -> list[MatchedEvent]:
        """
        Begin or queue first attempts of these events, which are leased.

        Endpoints that were read with the events are `known`; the others are read. Returns the
        events of which none was begun. Of others, what could not be queued becomes pending rows.
        """
        ids = {
            webhook_id
            for each in matched
            if each.leased.data is not None
            for webhook_id in each.webhooks
        }
        if not ids:
            return list(matched)
        ready = {
            webhook_id: (each, starter.host_of(each.url))
            for webhook_id, each in (await self._ready(ids, known)).items()
        }
        rest: list[MatchedEvent] = []
        began = 0
        for first in range(0, len(matched), FIRST_AT_ONCE):  # one each, mostly
            if first:
                await asyncio.sleep(0)
            now = time.monotonic()
            at_once = starter.may_begin(now=now)
            for each in matched[first : first + FIRST_AT_ONCE]:
                begun = self._begin(each, ready, starter, at_once=at_once, now=now)
                if begun is None:
                    rest.append(each)
                else:
                    began += begun
        if self._queue or self._put_off:
            self._waker.wake.set()
            self.wake.set()
        self._learn(matched, begun=began)
        return rest

    async def _ready(
        self, ids: Collection[WebhookId], known: KnownEndpoints
    ) -> dict[WebhookId, Endpoint]:
        """The endpoints among these that may be called at once."""
        ready = {each: endpoint for each in ids if (endpoint := known.get(each)) is not None}
        unknown = [each for each in ids if each not in known]
        if unknown:
            async with self._database.connection() as db:
                ready |= await endpoints.find_ready(
                    *(db, unknown),
                    within=self._leasing.lease,
                    installation=self._leasing.installation,
                )
        return ready

    def take(self, webhook_id: WebhookId, limit: int) -> list[Claim]:
        """Remove and return up to `limit` of the webhook's attempts, the first ones."""
        return self._queue.take(webhook_id, limit)

    def put_off(self, claims: Iterable[Claim]) -> dict[DeliveryId, DeliveryId]:
        """
        Let attempts, which were taken and not made, become pending rows soon.

        Returns the ids that they have from now on, by the ones they had.
        """
        renamed: dict[DeliveryId, DeliveryId] = {}
        for claim in claims:
            leased = self._events.of(claim.delivery_id).leased
            # Its request may have been sent: under the id that the receiver knows, there may be a
            # row of another transaction, for which all others would wait.
            new = renamed[claim.delivery_id] = new_delivery_id()
            self._events.rename(claim.delivery_id, new)
            self._put_off.append(
                NewDelivery(new, claim.webhook_id, leased, claim.payload_bytes or 0)
            )
        self.wake.set()
        return renamed

    def hold(self, tenants: Collection[TenantId] | None) -> None:
        """Let what waits for these tenants, or for all, become pending rows: those are held."""
        for webhook_id, held in self._queue.take_of(tenants):
            self._lanes.unqueue(webhook_id, len(held))
            self.put_off(held)

    def abandon(self, claim: Claim) -> None:
        """Leave an attempt that failed by a fault of ours to the next lease of its event."""
        self._events.abandon(claim.delivery_id)

    async def run_once(self) -> float:
        """Turn what has waited for too long into pending rows, and what was put off."""
        for webhook_id, late in self._queue.take_older(time.monotonic() - QUEUED_SECONDS):
            self._lanes.unqueue(webhook_id, len(late))
            self.put_off(late)
        await self._store_some_put_off()
        if self._put_off:  # fan-out may add to them all the time
            return 0.0
        rest = SWEEP_SECONDS if self._queue else IDLE_SECONDS
        return min(rest, self._locked_due_in) if self._locked else rest

    async def store_put_off(self) -> None:
        """Insert pending rows for attempts that were put off; they are due now."""
        while self._put_off or self._locked:
            await self._store_some_put_off()
            if not self._put_off:
                await asyncio.sleep(self._locked_due_in)

    @property
    def _locked_due_in(self) -> float:
        return max(0.0, self._try_locked_at - time.monotonic())

    async def _store_some_put_off(self) -> None:
        if self._locked and not self._locked_due_in:
            self._put_off += self._locked
            self._locked = []
        async with self._events.writing:
            rows, self._put_off = self._put_off[:STORED_AT_ONCE], self._put_off[STORED_AT_ONCE:]
            if not rows:
                return
            ids = [each.id for each in rows]
            try:
                # Ids of attempts that are over may be inserted again: nothing would stop that.
                stored = await self._stored(ids) if self._end_unknown else set()
                self._end_unknown = True
                locked = await self._insert(self._by_event(rows, stored))
            except BaseException:
                left = [each for each in rows if self._events.is_open(each.id)]
                self._put_off = left + self._put_off
                raise
            self._end_unknown = False
            self._put_aside([each for each in rows if each.id in locked])
            settled = (each for each in ids if each not in locked)
            self._events.settle(each for each in settled if self._events.is_open(each))

    def _put_aside(self, locked: Sequence[NewDelivery]) -> None:
        """Try these again after a pause, which grows until there are none."""
        self._locked += locked
        if not locked:
            self._pause = FIRST_PAUSE_SECONDS
            return
        self._try_locked_at = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)

    async def _insert(self, matched: Sequence[MatchedEvent]) -> set[DeliveryId]:
        """
        Insert rows together, or one event's after the other.

        Returns the rows whose event another transaction holds. Events of which the lease was lost,
        or whose rows cannot be inserted, are left to their next lease.
        """
        try:
            inserted = await self._inserter.insert(matched, for_all=True)
        except STATEMENT_FAILURES:
            if len(matched) > 1:
                return {locked for each in matched for locked in await self._insert([each])}
            [event] = matched
            ids = event.ids or ()
            if await self._stored(ids) != set(ids):
                log.exception("event.not_fanned_out", event_id=str(event.leased.event.id))
                self._abandon([event])
            return set()
        locked = {id(each) for each in inserted.locked}
        ours = locked | {id(each) for each in inserted.events}
        self._abandon(each for each in matched if id(each.leased) not in ours)
        return {i for each in matched if id(each.leased) in locked for i in each.ids or ()}

    def _abandon(self, events: Iterable[MatchedEvent]) -> None:
        for attempt in chain.from_iterable(each.ids or () for each in events):
            self._events.abandon(attempt)

    async def _stored(self, ids: Sequence[DeliveryId]) -> set[DeliveryId]:
        """Those that have a row: the connection was lost while they were being committed."""
        async with self._database.transaction(for_all=True) as db:
            return await results.stored(db, ids)

    def _by_event(
        self, rows: Sequence[NewDelivery], stored: Collection[DeliveryId]
    ) -> list[MatchedEvent]:
        """
        The rows by event, with its present lease; it ends if these are its last.

        Those that are `stored` are left out, and count nevertheless.
        """
        by_event: dict[OpenEvent, list[NewDelivery]] = defaultdict(list)
        for each in rows:
            by_event[self._events.of(each.id)].append(each)
        return [
            MatchedEvent(
                event.leased,
                [each.webhook_id for each in several if each.id not in stored],
                several[0].payload_bytes,
                ids=[each.id for each in several if each.id not in stored],
                ends=len(several) == event.unsettled,
            )
            for event, several in by_event.items()
        ]

    def _begin(
        self,
        matched: MatchedEvent,
        ready: Mapping[WebhookId, tuple[Endpoint, str | None]],
        starter: Starter,
        *,
        at_once: bool,
        now: float,
    ) -> int | None:
        """
        Begin what may begin `at_once`, and queue what else there is room for.

        Returns how many those are; None if there is none, and nothing is done.
        """
        leased = matched.leased
        tenant_id = leased.event.tenant_id
        admitted: list[Claim] = []
        queued: list[Claim] = []
        left: list[WebhookId] = []
        for webhook_id in matched.webhooks:
            endpoint, host = NOT_READY if leased.data is None else ready.get(webhook_id, NOT_READY)
            if endpoint is None or endpoint.tenant_id != tenant_id:  # its id may have a new owner
                left.append(webhook_id)
            elif at_once and self._lanes.admit(webhook_id, tenant_id=tenant_id, now=now, host=host):
                admitted.append(self._claim(matched, webhook_id, endpoint))
            elif self._has_room(matched, webhook_id, now=now):
                claim = self._claim(matched, webhook_id, endpoint)
                self._queue.add(claim, now=now)
                self._lanes.queue(webhook_id, tenant_id=tenant_id, now=now)
                queued.append(claim)
            else:
                left.append(webhook_id)
        if not admitted and not queued:
            return None
        rows = [
            NewDelivery(new_delivery_id(), each, leased, matched.payload_bytes) for each in left
        ]
        self._put_off += rows
        self._events.open(
            leased, [each.delivery_id for each in admitted + queued] + [each.id for each in rows]
        )
        self._queue.note_begun(len(admitted), now=now)
        for claim in admitted:
            starter.start(claim)
        return len(admitted) + len(queued)

    def _learn(self, matched: Sequence[MatchedEvent], *, begun: int) -> None:
        now = time.monotonic()
        attempts: dict[TenantId, list[int]] = defaultdict(list)
        for each in matched:
            attempts[each.leased.event.tenant_id].append(len(each.webhooks))
        self._most_are_begun = 2 * begun >= sum(map(sum, attempts.values()))
        for tenant_id, counts in attempts.items():
            self._per_event.note(tenant_id, attempts=sum(counts), events=len(counts), now=now)

    def _has_room(self, matched: MatchedEvent, webhook_id: WebhookId, *, now: float) -> bool:
        tenant_id = matched.leased.event.tenant_id
        if not self._queue.has_room(tenant_id, matched.payload_bytes):
            return False
        of_tenant = self._queue.of_tenant(tenant_id)
        room = self._lanes.queue_room(webhook_id, tenant_id=tenant_id, of_tenant=of_tenant, now=now)
        return room > 0

    def _claim(self, matched: MatchedEvent, webhook_id: WebhookId, endpoint: Endpoint) -> Claim:
        leased = matched.leased
        return Claim(
            delivery_id=new_delivery_id(),
            webhook_id=webhook_id,
            tenant_id=leased.event.tenant_id,
            event_id=leased.event.id,
            event_type=leased.event.type,
            event_created_at=leased.event.created_at,
            data=leased.data,
            attempt=1,
            claimed_at=leased.leased_until - self._leasing.lease,
            leased_until=leased.leased_until,
            endpoint_url=endpoint.url,
            secrets=endpoint.secrets,
            payload_bytes=matched.payload_bytes,
            from_inbox=True,
            waiting_since=leased.arrived_at,
            options=endpoint.options,
        )
