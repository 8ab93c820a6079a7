"""
Leases due attempts, in the order of the lanes' turns, and makes each in a task of its own.

A stop ends the claiming first; attempts in flight finish, and those that could not begin or end are
given back (`returned_claims`). When the process is killed, their leases lapse instead.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import chain
from math import inf

import structlog

from daemon.core.errors import (
    ROW_FAILURES,
    STATEMENT_FAILURES,
    DatabaseUnavailableError,
    MemoryBusyError,
    PostponedError,
)
from daemon.core.model.attempts import AttemptResult, Claim
from daemon.core.model.ids import WebhookId
from daemon.core.scheduling.attempt_ages import AttemptAges
from daemon.core.scheduling.endpoint_lane import NOTHING_DUE, NextDue
from daemon.core.scheduling.lanes import Lanes, LaneTurn
from daemon.egress.kept_requests import KeptRequest
from daemon.pipeline.attempt import AttemptMaker
from daemon.pipeline.claim_data import ClaimData
from daemon.pipeline.claims_aside import ClaimsAside
from daemon.pipeline.first_attempts import FirstAttempts
from daemon.pipeline.lane_waker import LaneWaker
from daemon.pipeline.paced_starts import CLAIMED_AT_ONCE, FIRST_AT_ONCE, start_all
from daemon.pipeline.postponements import Postponements
from daemon.pipeline.result_writer import ResultWriter
from daemon.pipeline.returned_claims import GIVE_BACK_TIME, ReturnedClaims
from daemon.runtime.metrics import Metrics
from daemon.store import claims, pacing
from daemon.store.claims import LaneClaims
from daemon.store.database import Database
from daemon.store.leased_events import Leasing

log = structlog.get_logger()

POLL_SECONDS, IDLE_SECONDS = 1.0, 5.0  # with anything in flight, and without
# With this much in flight, a claim for one free slot costs more than it brings.
BUSY_IN_FLIGHT = 192
LINGER_SECONDS = 0.005
MAX_CLAIM = 256
FAILED_LANE_SECONDS = 30.0
GONE_SECONDS = 1.0


class Dispatcher:
    """
    The loop from a lane's turn to an attempt's result.

    `leasing` is that of events: claims are leased alike. `alert_after` is how long a delivery may
    be postponed before that is logged as an error.
    """

    name = "dispatcher"

    def __init__(
        self,
        database: Database,
        lanes: Lanes,
        waker: LaneWaker,
        *,
        attempts: AttemptMaker,
        first_attempts: FirstAttempts,
        results: ResultWriter,
        leasing: Leasing,
        metrics: Metrics,
        alert_after: timedelta = timedelta(days=1),
    ) -> None:
        self.wake = waker.wake
        self._waker = waker
        self._database = database
        self._lanes = lanes
        self._attempts = attempts
        self.host_of = attempts.host_of
        self._first_attempts = first_attempts
        self._results = results
        self._metrics = metrics
        self._leasing = leasing
        self._data = ClaimData(database, most_bytes=leasing.most_bytes)
        self._postponements = Postponements(alert_after=alert_after)
        self._returned = ReturnedClaims(database, first_attempts, self._postponements)
        metrics.pipeline.oldest_postponed_seconds.set_function(self.oldest_postponed_seconds)
        self._tasks: set[asyncio.Task[None]] = set()
        self._plain: dict[int, tuple[Claim, KeptRequest]] = {}  # by the claim's identity
        self._ages = AttemptAges()  # by the same
        self._idle = asyncio.Event()
        self._claiming: asyncio.Task[None] | None = None
        self._aside = ClaimsAside(self._claim_aside, lanes.tenant_of)
        self._stopping = False

    async def run_once(self) -> float:
        await self._returned.give_back(stopping=self._stopping)
        if self._lanes.in_flight >= BUSY_IN_FLIGHT and not self._first_attempts:
            await asyncio.sleep(LINGER_SECONDS)
        if self._claiming is not None and self._claiming.done():
            claiming, self._claiming = self._claiming, None
            claiming.result()
        now = time.monotonic()
        self._note_slow(now)
        turns = self._lanes.next_turns(now=now, room=self._room(), claims=self._claiming is None)
        if to_claim := self._aside.take([each for each in turns if not each.queued], now=now):
            # Queued attempts need not wait for the database.
            self._claiming = asyncio.create_task(self._claim(to_claim))
            self._claiming.add_done_callback(self._claim_ended)
        queued = chain.from_iterable(map(self._queued, turns))
        await start_all(queued, FIRST_AT_ONCE, start=self.start, give_back=self._return)
        if turns:
            await asyncio.sleep(0)
            return 0.0
        longest = POLL_SECONDS if self.in_flight else IDLE_SECONDS
        soon = self._lanes.next_due_in(now=now)
        return longest if soon is None else min(soon, longest) + 0.0005

    @property
    def in_flight(self) -> int:
        """How many attempts are being made."""
        return len(self._tasks) + len(self._plain)

    def waited_seconds(self) -> float:
        """How long the first quick endpoint in line has waited for its turn, 0 if none does."""
        return self._lanes.waited(now=time.monotonic())

    def shortage(self) -> str | None:
        """As `Postponements.shortage`."""
        return self._postponements.shortage()

    def oldest_postponed_seconds(self) -> float:
        """How long the delivery has waited that was postponed first, 0 if none is."""
        return self._postponements.oldest_seconds()

    def close(self) -> None:
        """Begin nothing more: `drain` gives back what a claim under way still brings."""
        self._stopping = True

    async def drain(self, *, within: timedelta) -> None:
        """Let attempts in flight finish `within` this time, then give the others back unmade."""
        if self._claiming is not None:
            await asyncio.wait([self._claiming], timeout=GIVE_BACK_TIME.total_seconds())
            self._claiming.cancel()
        await self._aside.end(within=GIVE_BACK_TIME.total_seconds())
        self._idle.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(within.total_seconds()):
                while self.in_flight:
                    await self._idle.wait()
        if self.in_flight:
            log.warning("dispatcher.drain_timed_out", interrupted=self.in_flight)
            await self._interrupt()
        await self._returned.give_back(stopping=self._stopping)

    async def _interrupt(self) -> None:
        plain, self._plain = self._plain, {}
        for claim, request in plain.values():
            request.cancel()
            self._return(claim)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _room(self) -> int:
        """
        How many attempts may begin now.

        A result that is not stored yet takes a slot like a request in flight: a kill at any moment
        doubles no more than the slots hold.
        """
        unstored = self._results.backlog
        self._lanes.note_unstored(unstored, of_tenant=self._results.unstored_of)
        return min(MAX_CLAIM, self._lanes.slots - self._lanes.held - unstored)

    def _note_slow(self, now: float) -> None:
        """Let attempts that have been in flight for long count as slow before they end."""
        if now < self._ages.none_slow_before:
            return
        for webhook_id in self._ages.take_slow(now=now):
            self._lanes.slowed(webhook_id)

    def _claim_ended(self, claiming: asyncio.Task[None]) -> None:
        if not claiming.cancelled():
            claiming.exception()  # for the next run, if there is one
        self.wake.set()

    async def _claim_aside(self, turns: Sequence[LaneTurn]) -> None:
        try:
            await self._claim(turns)
        finally:
            self.wake.set()

    async def _claim(self, turns: Sequence[LaneTurn]) -> None:
        """Claim together, or in halves down to the one lane that makes that fail."""
        try:
            await self._claim_together(turns)
        except ROW_FAILURES:
            if len(turns) > 1:
                middle = len(turns) // 2
                try:
                    await self._claim(turns[:middle])
                except BaseException:
                    self._lanes.claim_failed(turns[middle:], now=time.monotonic())
                    raise
                await self._claim(turns[middle:])
                return
            [turn] = turns
            log.exception("dispatcher.lane_failed", webhook_id=str(turn.webhook_id))
            now = time.monotonic()
            self._lanes.rest(turn.webhook_id, until=now + FAILED_LANE_SECONDS)
            self._lanes.claim_failed(turns, now=now)

    async def _claim_together(self, turns: Sequence[LaneTurn]) -> None:
        began = time.perf_counter()
        try:
            # Need not be durable: a lease that a crash undoes is a lease that lapsed early.
            async with self._database.connection() as db:
                claimed = await claims.claim(
                    *(db, turns),
                    lease=self._leasing.lease,
                    most_bytes=self._leasing.most_bytes,
                    installation=self._leasing.installation,
                )
        except BaseException as error:
            if not isinstance(error, ROW_FAILURES):
                self._lanes.claim_failed(turns, now=time.monotonic())
            raise
        self._metrics.pipeline.claim_seconds.observe(time.perf_counter() - began)
        now = time.monotonic()
        self._aside.note({each: lane.seconds for each, lane in claimed.items()}, now=now)
        for turn in turns:
            self._tell_lane(turn, claimed.get(turn.webhook_id), now)
        taken = chain.from_iterable(lane.claims for lane in claimed.values())
        await start_all(taken, CLAIMED_AT_ONCE, start=self.start, give_back=self._return)
        if new := [each for each, lane in claimed.items() if lane.limit_state == pacing.NEW]:
            await self._begin_pacing(new)

    async def _begin_pacing(self, webhook_ids: Sequence[WebhookId]) -> None:
        """Let webhooks have attempts that have a limit from now on; if that fails, a bit later."""
        try:
            async with self._database.connection() as db:
                begun = await pacing.begin(db, webhook_ids)
        except (*STATEMENT_FAILURES, DatabaseUnavailableError) as error:
            log.warning("dispatcher.pacing_failed", count=len(webhook_ids), reason=str(error))
            return
        for webhook_id in begun:
            self._waker.announce_if_known(webhook_id)

    def _queued(self, turn: LaneTurn) -> list[Claim]:
        """Take first attempts out of their queue, which need no claim, if it is such a turn."""
        if not turn.queued:
            return []
        taken = self._first_attempts.take(turn.webhook_id, turn.limit)
        host = self._attempts.host_of(taken[-1].endpoint_url) if taken else None
        self._lanes.dequeued(turn, taken=len(taken), now=time.monotonic(), host=host)
        return taken

    def _tell_lane(self, turn: LaneTurn, claimed: LaneClaims | None, now: float) -> None:
        if claimed is None:  # paused or deleted: the lane sleeps until something is due again
            self._lanes.claimed(turn, taken=0, last_due=None, upcoming=NOTHING_DUE, now=now)
            return
        upcoming = NOTHING_DUE
        if claimed.upcoming is not None:
            upcoming = NextDue(now + claimed.upcoming.due_in, claimed.upcoming.at)
        url = claimed.claims[-1].endpoint_url if claimed.claims else None
        self._lanes.claimed(
            turn,
            taken=len(claimed.claims),
            last_due=claimed.last_due,
            upcoming=upcoming,
            now=now,
            spaced_until=-inf if claimed.spaced_for is None else now + claimed.spaced_for,
            full=claimed.full,
            host=None if url is None else self._attempts.host_of(url),
        )

    def may_begin(self, *, now: float) -> bool:
        """Whether first attempts that the lanes admit may begin, until other work has its turn."""
        self._note_slow(now)
        return not self._stopping and self._room() > 0

    def start(self, claim: Claim) -> None:
        """Begin an attempt that has a slot."""
        if self._stopping:
            self._returned.add(claim)
            self._lanes.returned(claim.webhook_id, now=time.monotonic())
            return
        self._ages.begin(id(claim), claim.webhook_id, now=time.monotonic())
        self._observe_age(claim)
        try:
            request = self._attempts.begin(claim, partial(self._end_plain, claim))
        except Exception as error:  # noqa: BLE001  as that of a task
            self._end(claim, error)
            return
        if request is not None:
            self._plain[id(claim)] = claim, request
            return
        task = asyncio.create_task(self._make(claim))
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self.in_flight:
            self._idle.set()

    async def _make(self, claim: Claim) -> None:
        try:
            result: AttemptResult | Exception = await self._attempt(claim)
        except asyncio.CancelledError:
            self._return(claim)
            raise
        except Exception as error:  # noqa: BLE001  `_end` judges them
            result = error
        self._end(claim, result)

    def _end_plain(self, claim: Claim, result: AttemptResult | Exception) -> None:
        del self._plain[id(claim)]
        self._end(claim, result, is_new_address=False)
        if not self._plain and not self._tasks:
            self._idle.set()

    def _end(
        self, claim: Claim, result: AttemptResult | Exception, *, is_new_address: bool = True
    ) -> None:
        """An attempt has ended; `is_new_address`: its host may have been looked up for it."""
        match result:
            case AttemptResult():
                self._results.add(result)
                self._postponements.ended(claim)
                self._finished(claim, result, is_new_address=is_new_address)
            case MemoryBusyError():
                self._rest(claim, until=time.monotonic() + result.pause_seconds)
            case PostponedError():  # a fault of ours, not of the endpoint
                self._postpone(claim, result)
            case _:  # a fault of ours too: the lease lapses, and no attempt is spent
                log.error("delivery.failed", delivery_id=str(claim.delivery_id), exc_info=result)
                if claim.from_inbox:
                    self._first_attempts.abandon(claim)
                self._end_without_result(claim)
        if self._lanes.ready:
            self.wake.set()

    async def _attempt(self, claim: Claim) -> AttemptResult:
        unproven = self._lanes.is_unproven(claim.webhook_id)
        if claim.fetched:
            return await self._attempts.attempt(claim, unproven=unproven)
        async with self._data.fetched(claim) as complete:
            return await self._attempts.attempt(complete, unproven=unproven)

    def _finished(self, claim: Claim, attempted: AttemptResult, *, is_new_address: bool) -> None:
        if attempted.verdict.too_large:
            self._end_without_result(claim)
            return
        webhook_id, now = claim.webhook_id, time.monotonic()
        self._lanes.finished(
            webhook_id,
            took_ms=attempted.outcome.took_ms,
            delivered=attempted.verdict.delivered,
            now=now,
            host=self._attempts.host_of(attempted.claim.endpoint_url) if is_new_address else None,
            was_slow=self._ages.end(id(claim)),
        )
        if attempted.verdict.gone:  # it is paused as soon as that is stored
            self._lanes.rest(webhook_id, until=now + GONE_SECONDS)

    def _observe_age(self, claim: Claim) -> None:
        if claim.attempt == 1 and claim.waiting_since is not None and not claim.replayed:
            age = time.time() - claim.waiting_since.timestamp()
            self._metrics.attempts.observe_commit_to_send(age)

    def _postpone(self, claim: Claim, error: PostponedError) -> None:
        """
        Give an attempt back unspent, and let its lane rest.

        Other lanes go on: they may not need the name server or the key that failed.
        """
        self._metrics.pipeline.postponed.inc()
        self._rest(claim, until=self._postponements.postponed(claim, error))

    def _rest(self, claim: Claim, *, until: float) -> None:
        self._lanes.rest(claim.webhook_id, until=until)
        self._return(claim)

    def _return(self, claim: Claim) -> None:
        self._returned.add(claim)
        self._end_without_result(claim)

    def _end_without_result(self, claim: Claim) -> None:
        was_slow = self._ages.end(id(claim))
        self._lanes.returned(claim.webhook_id, now=time.monotonic(), was_slow=was_slow)
