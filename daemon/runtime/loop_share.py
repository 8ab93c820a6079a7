"""
A share of the event loop's time for work that the rest of the loop must not wait for.

Each step of such work begins in turn by owner, once the steps before it are paid for by as much
time for everything else: however much of it runs at once, it takes half of the loop's time, or
another share. A step that was long is a debt of its owner: others wait for a part of it only.
"""

import asyncio
import time
from collections.abc import Callable, Hashable

from daemon.core.scheduling.round_robin import RoundRobin

SHARE = 0.5
# The time of steps before others have to wait: a long slice of patient work.
AT_ONCE_SECONDS = 0.0025
# The longest that all owners wait for time taken beyond that; the rest is a debt of its owner.
MOST_OWED_BY_ALL_SECONDS = 0.005
# A machine that stood still for longer than this is not the work's fault.
MOST_OWED_SECONDS = 0.1


class LoopShare:
    """Lets the steps of all its work begin; `clock` returns seconds."""

    def __init__(
        self, share: float = SHARE, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._share = share
        self._clock = clock
        self._balance = AT_ONCE_SECONDS
        self._balance_at = clock()
        # When each owner with a debt has paid it.
        self._paid_at: dict[Hashable, float] = {}
        self._waiting: RoundRobin[asyncio.Future[None]] = RoundRobin()
        self._timer: asyncio.TimerHandle | None = None
        self._has_begun = False  # a step, which is not counted yet

    def turn(self, owner: Hashable) -> asyncio.Future[None] | None:
        """The wait of this owner's next step before it begins; None if it may begin at once."""
        self._forget_paid_debts()
        if not self._waiting and self._wait() <= 0 and owner not in self._paid_at:
            return None
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(owner, turn)
        if not self._has_begun:
            self._begin_next()
        return turn

    def spend(self, owner: Hashable, seconds: float) -> None:
        """Note how long a step of this owner took."""
        now = self._earn()
        may_spend = max(0.0, self._balance + MOST_OWED_BY_ALL_SECONDS)
        overspent = min(max(0.0, seconds - may_spend), MOST_OWED_SECONDS)
        self._balance -= min(seconds, may_spend)
        if overspent > 0:
            begin = max(self._paid_at.get(owner, now), now)
            self._paid_at[owner] = begin + overspent / self._share

    def _begin_next(self) -> None:
        self._has_begun = False
        self._forget_paid_debts()
        if not self._waiting:
            return
        if (wait := self._wait()) > 0:
            self._begin_later(wait)
        elif (first := self._waiting.take(lambda owner: owner not in self._paid_at)) is not None:
            _, turn = first
            if not turn.done():
                turn.set_result(None)
            # Behind the step that begins now, which is then counted.
            self._has_begun = True
            asyncio.get_running_loop().call_soon(self._begin_next)
        else:
            paid_at = min(self._paid_at[owner] for owner in self._waiting.owners)
            self._begin_later(paid_at - self._clock())

    def _begin_later(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._begin_next)

    def _forget_paid_debts(self) -> None:
        if self._paid_at:
            now = self._clock()
            for owner in [each for each, paid_at in self._paid_at.items() if paid_at <= now]:
                del self._paid_at[owner]

    def _wait(self) -> float:
        """The seconds until the steps so far are paid for by all."""
        self._earn()
        return max(0.0, -self._balance / self._share)

    def _earn(self) -> float:
        """Add the share of the time since the last call; return the present time."""
        now = self._clock()
        earned = (now - self._balance_at) * self._share
        self._balance = min(self._balance + earned, AT_ONCE_SECONDS)
        self._balance_at = now
        return now
