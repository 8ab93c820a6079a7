"""
A share of the event loop's time for work that the rest of the loop must not wait for.

Each step of such work begins once the steps before it are paid for by as much time for everything
else: however much of it runs at once, it takes half of the loop's time, or another share. The owner
that recently took least has the next step, so that one with little work waits for the present step
of the others only. A step that was long is a debt of its owner: others wait for a part of it.
"""

import asyncio
import time
from collections.abc import Callable, Hashable

from daemon.core.scheduling.round_robin import RoundRobin
from daemon.core.scheduling.time_account import TimeAccount

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
        self._clock = clock
        self._account = TimeAccount(
            share,
            at_once=AT_ONCE_SECONDS,
            owed_by_all=MOST_OWED_BY_ALL_SECONDS,
            most_owed=MOST_OWED_SECONDS,
            now=clock(),
        )
        self._waiting: RoundRobin[asyncio.Future[None]] = RoundRobin()
        self._timer: asyncio.TimerHandle | None = None
        self._has_begun = False  # a step, which is not counted yet

    def turn(self, owner: Hashable) -> asyncio.Future[None] | None:
        """The wait of this owner's next step before it begins; None if it may begin at once."""
        now, account = self._clock(), self._account
        if not (self._waiting or account.wait(now=now) or account.wait_of(owner, now=now)):
            return None
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(owner, turn)
        if not self._has_begun:
            self._begin_next()
        return turn

    def spend(self, owner: Hashable, seconds: float) -> None:
        """Note how long a step of this owner took."""
        self._account.spend(owner, seconds, now=self._clock())

    def _begin_next(self) -> None:
        self._has_begun = False
        if not self._waiting:
            return
        now, account = self._clock(), self._account
        if (wait := account.wait(now=now)) > 0:
            self._begin_later(wait)
            return
        first = self._waiting.take_least(
            lambda owner: account.recent(owner, now=now),
            lambda owner: not account.wait_of(owner, now=now),
        )
        if first is not None:
            _, turn = first
            if not turn.done():
                turn.set_result(None)
            # Behind the step that begins now, which is then counted.
            self._has_begun = True
            asyncio.get_running_loop().call_soon(self._begin_next)
        else:
            self._begin_later(min(account.wait_of(each, now=now) for each in self._waiting.owners))

    def _begin_later(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._begin_next)
