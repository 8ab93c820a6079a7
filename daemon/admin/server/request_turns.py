"""
The order in which API requests begin: callers in turn, within a share of the event loop's time.

Deliveries run on the same loop. Without a share, a client with many cheap requests at once would
delay them. What a request takes beyond the share is a debt of its caller: others need not wait for
that.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Hashable

from daemon.core.scheduling.round_robin import RoundRobin

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
        self._balance = BURST_SECONDS
        self._balance_at = clock()
        # When each caller with a debt has paid it.
        self._paid_at: dict[Hashable, float] = {}
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
        """
        Note how much of the loop's time a request of this caller has taken.

        Others wait for what was spent at once. What comes on top before that is paid is a debt of
        the caller: a request that goes on spending must not keep all others from beginning.
        """
        now = self._earn()
        may_spend = self._balance + MOST_OVERSPENT_SECONDS if self._balance >= 0 else 0.0
        overspent = max(0.0, seconds - may_spend)
        self._balance -= seconds - overspent
        if overspent > 0:
            self._paid_at[caller] = max(self._paid_at.get(caller, now), now) + overspent / SHARE

    def _add(self, caller: Hashable) -> asyncio.Future[None]:
        self._waiting.discard(caller, asyncio.Future.cancelled)
        most = MAX_WAITING if len(self._waiting) < NEARLY_FULL else FEW_WAITING
        if self._waiting.count(caller) >= most:
            raise TooManyRequestsError
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(caller, turn)
        return turn

    def _begin_next(self) -> None:
        self._forget_paid_debts()
        while any(map(self._may_begin, self._waiting.owners)):
            if (wait := self._wait()) > 0:
                self._begin_later(wait)
                return
            first = self._take()
            assert first is not None
            caller, turn = first
            if not turn.cancelled():
                turn.set_result(None)
                self._running[caller] += 1
                self.spend(caller, OVERHEAD_SECONDS)
        waiting = self._waiting.owners
        if debts := [self._paid_at[each] for each in waiting if each in self._paid_at]:
            self._begin_later(min(debts) - self._clock())

    def _take(self) -> tuple[Hashable, asyncio.Future[None]] | None:
        """The next request: three of known callers before one of a stranger, who may be many."""
        first_known = self._known_in_row < KNOWN_BEFORE_STRANGERS
        taken = self._waiting.take(
            lambda caller: isinstance(caller, str) is first_known and self._may_begin(caller)
        ) or self._waiting.take(self._may_begin)
        if taken is not None:
            self._known_in_row = self._known_in_row + 1 if isinstance(taken[0], str) else 0
        return taken

    def _may_begin(self, caller: Hashable) -> bool:
        return caller not in self._paid_at and self._running[caller] < MAX_RUNNING

    def _forget_paid_debts(self) -> None:
        now = self._clock()
        for caller in [each for each, paid_at in self._paid_at.items() if paid_at <= now]:
            del self._paid_at[caller]

    def _wait(self) -> float:
        """The seconds until the share of the loop's time allows another request."""
        self._earn()
        return max(0.0, -self._balance / SHARE)

    def _earn(self) -> float:
        """Add the share of the time since the last call; return the present time."""
        now = self._clock()
        earned = (now - self._balance_at) * SHARE
        self._balance = min(self._balance + earned, BURST_SECONDS)
        self._balance_at = now
        return now

    def _begin_later(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._begin_after_wait)

    def _begin_after_wait(self) -> None:
        self._timer = None
        self._begin_next()
