"""
The order in which API requests begin, by caller, within a share of the event loop's time.

Deliveries run on the same loop. Without a share, a client with many cheap requests at once would
delay them. The caller that recently took least of the time comes first: many callers with expensive
requests must not delay one with few by one of each. What a request takes beyond the share is a debt
of its caller: others need not wait for that.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Hashable

from daemon.core.scheduling.round_robin import RoundRobin
from daemon.core.scheduling.time_account import TimeAccount

# Of the loop's time, on average and at once.
SHARE = 0.25
BURST_SECONDS = 0.05
# The longest that all callers wait; the rest is a debt of the caller that spent it.
MOST_OVERSPENT_SECONDS = 0.02
# Reading the head and writing the response, which happen outside of the handler.
OVERHEAD_SECONDS = 0.0003
# Of one caller, so that its requests leave some of the API's database connections to others.
MAX_RUNNING = 6
MAX_WAITING = 128
# Once so many wait in all, one caller may have FEW_WAITING.
NEARLY_FULL = 256
FEW_WAITING = 16
WAIT_SECONDS = 10.0
KNOWN_BEFORE_STRANGERS = 3


class TooManyRequestsError(Exception):
    """Too many requests of this caller are waiting, or have been waiting for too long."""


class RequestTurns:
    """Begins each request when it is its caller's turn and the loop's time allows."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: RoundRobin[asyncio.Future[None]] = RoundRobin()
        self._running: Counter[Hashable] = Counter()
        self._account = TimeAccount(
            SHARE, at_once=BURST_SECONDS, owed_by_all=MOST_OVERSPENT_SECONDS, now=clock()
        )
        self._timer: asyncio.TimerHandle | None = None
        self._known_in_row = 0

    async def begin(self, caller: Hashable) -> None:
        """
        Wait until the request may run; call `end` when it has ended.

        A caller that is known, by a token or a session, is a text; strangers are not.

        Raises TooManyRequestsError.
        """
        turn = self._add(caller)
        self._begin_next()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await turn
        except BaseException as error:
            if not turn.cancelled():
                self.end(caller)  # it had just begun
            if isinstance(error, TimeoutError):
                raise TooManyRequestsError from None
            raise

    def end(self, caller: Hashable) -> None:
        """Note that a request which had begun is not running any more."""
        self._running[caller] -= 1
        if self._running[caller] == 0:
            del self._running[caller]
        self._begin_next()

    def spend(self, caller: Hashable, seconds: float) -> None:
        """Note how much of the loop's time a request of this caller has taken."""
        self._account.spend(caller, seconds, now=self._clock())

    def _add(self, caller: Hashable) -> asyncio.Future[None]:
        self._waiting.discard(caller, asyncio.Future.cancelled)
        most = MAX_WAITING if len(self._waiting) < NEARLY_FULL else FEW_WAITING
        if self._waiting.count(caller) >= most:
            raise TooManyRequestsError
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(caller, turn)
        return turn

    def _begin_next(self) -> None:
        now = self._clock()
        while any(self._may_begin(caller, now) for caller in self._waiting.owners):
            if (wait := self._account.wait(now=now)) > 0:
                self._begin_later(wait)
                return
            first = self._take(now)
            assert first is not None
            caller, turn = first
            if not turn.cancelled():
                turn.set_result(None)
                self._running[caller] += 1
                self._account.spend(caller, OVERHEAD_SECONDS, now=now)
        waits = (self._account.wait_of(caller, now=now) for caller in self._waiting.owners)
        if (next_paid := min(filter(None, waits), default=None)) is not None:
            self._begin_later(next_paid)

    def _take(self, now: float) -> tuple[Hashable, asyncio.Future[None]] | None:
        """The next request: three of known callers before one of a stranger, who may be many."""
        first_known = self._known_in_row < KNOWN_BEFORE_STRANGERS
        taken = self._take_least(
            lambda caller: isinstance(caller, str) is first_known, now
        ) or self._take_least(lambda _: True, now)
        if taken is not None:
            self._known_in_row = self._known_in_row + 1 if isinstance(taken[0], str) else 0
        return taken

    def _take_least(
        self, is_of_kind: Callable[[Hashable], bool], now: float
    ) -> tuple[Hashable, asyncio.Future[None]] | None:
        return self._waiting.take_least(
            lambda caller: self._account.recent(caller, now=now),
            lambda caller: is_of_kind(caller) and self._may_begin(caller, now),
        )

    def _may_begin(self, caller: Hashable, now: float) -> bool:
        return self._running[caller] < MAX_RUNNING and not self._account.wait_of(caller, now=now)

    def _begin_later(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._begin_after_wait)

    def _begin_after_wait(self) -> None:
        self._timer = None
        self._begin_next()
