"""
Notices when the event loop stood still: a stopped process, a suspended machine, swapping, overload.

Rule: what was in flight during a stall is no evidence against an endpoint. A turn that is late by
less than half a second is ordinary work, and excuses nothing.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from functools import partial

import structlog

log = structlog.get_logger()

BEAT_SECONDS = 0.1
STALL_SECONDS = 0.5
# After a stall, packets that were lost and handshakes that were interrupted need a moment.
GRACE_SECONDS = 1.0
# A loop that stands still for more than a tenth of a minute is overloaded.
ALERT_WINDOW_SECONDS = 60.0
ALERT_SHARE = 0.1
ALERT_STALLS = 3


_boot_time = partial(time.clock_gettime, time.CLOCK_BOOTTIME)


class StallWatch:
    """
    A heartbeat of the event loop while requests are under way; a beat that comes too late was a
    stall.

    `clock` returns seconds and goes on while the machine is suspended. `on_stall` is called with
    the length of each stall in seconds.
    """

    def __init__(
        self,
        *,
        on_stall: Callable[[float], None] = lambda _: None,
        clock: Callable[[], float] = _boot_time,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_stall = on_stall
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._recent: deque[tuple[float, float]] = deque()
        self._alerted_at = self._ended_at = float("-inf")
        self._beat_at = self._beat_at_monotonic = 0.0
        self._watch_until = 0.0
        self._count = 0
        self._stalled_seconds = 0.0

    def watch(self, seconds: float) -> int:
        """Go on for so long from now; returns how many stalls were noticed so far."""
        self._watch_until = max(self._watch_until, time.monotonic() + seconds)
        if self._timer is None:
            self._expect_beat()
            self._timer = self._loop.call_later(BEAT_SECONDS, self._beat)
        return self.count()

    def count(self) -> int:
        """Return how many stalls were noticed so far."""
        self._measure()
        return self._count

    def grace_left(self) -> float:
        """Return for how many seconds nothing should be judged, because a stall has just ended."""
        self._measure()
        return max(0.0, self._ended_at + GRACE_SECONDS - self._clock())

    def running_time(self) -> float:
        """
        Return a monotonic time in seconds, less the time that the loop stood still.

        uvloop's own time is that of the beginning of the turn, and late in a long one.
        """
        return time.monotonic() - self._stalled_seconds

    def close(self) -> None:
        """Stop the heartbeat."""
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self) -> None:
        self._measure()
        if time.monotonic() > self._watch_until:
            self._timer = None
            return
        self._expect_beat()
        self._timer = self._loop.call_later(BEAT_SECONDS, self._beat)

    def _expect_beat(self) -> None:
        self._beat_at, self._beat_at_monotonic = self._clock(), time.monotonic()

    def _measure(self) -> None:
        """
        Compare the clock with the time at which the next beat is due.

        After a stall many timers are due at once, and others may come before the beat.
        """
        now = self._clock()
        late = now - self._beat_at - BEAT_SECONDS
        if self._timer is None or late < STALL_SECONDS:
            return
        # This clock, like the loop's, does not advance while the machine is suspended.
        self._stalled_seconds += max(0.0, time.monotonic() - self._beat_at_monotonic - BEAT_SECONDS)
        self._expect_beat()
        self._ended_at = now
        self._count += 1
        self._report(late, now)

    def _report(self, seconds: float, now: float) -> None:
        log.warning("loop.stalled", seconds=round(seconds, 1))
        self._on_stall(seconds)
        self._recent.append((now, seconds))
        while self._recent[0][0] < now - ALERT_WINDOW_SECONDS:
            self._recent.popleft()
        total = sum(each for _, each in self._recent)
        overloaded = (
            len(self._recent) >= ALERT_STALLS and total >= ALERT_SHARE * ALERT_WINDOW_SECONDS
        )
        if overloaded and now - self._alerted_at >= ALERT_WINDOW_SECONDS:
            self._alerted_at = now
            log.error("loop.overloaded", stalls=len(self._recent), seconds=round(total, 1))
