"""
Threads for steps of TLS handshakes, beside the event loop.

Rule: a receiver decides how long a step takes, up to a minute, and nothing can end it. So a tenant
has one step at a time, for which its others wait, and those that took little lately come before
those that took much, however many the latter are. A step that takes long gets the lowest priority,
and another thread replaces its own. No end of the process waits for one.
"""

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import TypeAlias

from daemon.core.scheduling.recent_use import RecentUse
from daemon.core.scheduling.round_robin import RoundRobin

# With the priority of the event loop, so that busy processors make no handshake wait for long.
MOST_QUICK = 2
# With the lowest priority, so many weigh half as much as the event loop.
MOST_SLOW = 32
QUICK_SECONDS = 0.01  # of CPU time. Honest servers' steps take one or two milliseconds.
LOWEST_PRIORITY = 19
# Of one tenant, which a thread does in a row: between them, it need not be woken.
STEPS_IN_A_ROW = 8
ROW_SECONDS = 0.004  # of CPU time, after which the rest of them waits for another turn
STEP_SECONDS = 0.05  # tenants whose recent use differs by less are equal
MOST_COMPARED = 200  # of the tenants that wait, the first ones in turn


@dataclass(frozen=True, slots=True)
class Step:
    """
    A step of a handshake: `work` runs in a thread, and must not raise.

    Then the event loop calls `ended` with the CPU time that it took, in seconds. A step that is not
    `wanted` any more when its turn comes is dropped; a thread asks.
    """

    work: Callable[[], None]
    ended: Callable[[float], None]
    wanted: Callable[[], bool]


# What is left of a row of steps, and the CPU time that it took.
RowEnded: TypeAlias = Callable[[Sequence[Step], float], None]


class HandshakeThreads:
    """Runs steps; create it inside the running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: RoundRobin[Step] = RoundRobin()
        self._busy: dict[Hashable, _Thread] = {}  # by owner
        self._idle: list[_Thread] = []
        self._slow = 0
        self._use = RecentUse(STEP_SECONDS)
        self._closed = False

    def run(self, owner: Hashable, step: Step) -> None:
        """Run a step of an owner, after those of its others that began or wait already."""
        if not self._closed:
            self._waiting.add(owner, step)
            self._begin_waiting()

    def close(self) -> None:
        """Drop what waits, and end the threads: those at a step once that is over."""
        self._closed = True
        self._waiting = RoundRobin()
        for thread in (*self._idle, *self._busy.values()):
            thread.end()
            if thread.timer is not None:
                thread.timer.cancel()
        self._idle.clear()

    def _begin_waiting(self) -> None:
        while self._idle or len(self._busy) - self._slow < MOST_QUICK:
            now = self._loop.time()
            first = self._waiting.take_least(
                partial(self._use.steps, now=now),
                lambda owner: owner not in self._busy,
                among=MOST_COMPARED,
            )
            if first is None:
                return
            owner, step = first
            thread = self._idle.pop() if self._idle else _Thread(self._loop)
            self._busy[owner] = thread
            thread.begin([step, *self._more_of(owner)], partial(self._end, owner))
            self._watch(owner, thread)

    def _more_of(self, owner: Hashable) -> Iterator[Step]:
        for _ in range(min(self._waiting.count(owner), STEPS_IN_A_ROW - 1)):
            if (another := self._waiting.take(lambda each: each == owner)) is not None:
                yield another[1]

    def _watch(self, owner: Hashable, thread: "_Thread") -> None:
        """Look after a while whether a step has become a slow one."""
        thread.timer = self._loop.call_later(QUICK_SECONDS, self._judge, owner, thread)

    def _judge(self, owner: Hashable, thread: "_Thread") -> None:
        if thread.cpu_seconds() < QUICK_SECONDS or self._slow >= MOST_SLOW:
            self._watch(owner, thread)
            return
        thread.slow = True
        self._slow += 1
        with suppress(OSError):  # a sandbox may forbid it
            os.setpriority(os.PRIO_PROCESS, thread.native_id, LOWEST_PRIORITY)
        self._begin_waiting()

    def _end(self, owner: Hashable, rest: Sequence[Step], seconds: float) -> None:
        """The owner's thread is free after so much CPU time, and has left the `rest` undone."""
        if self._closed:
            return
        self._use.spend(owner, seconds, now=self._loop.time())
        for step in reversed(rest):
            self._waiting.add_first(owner, step)
        thread = self._busy.pop(owner)
        if thread.timer is not None:
            thread.timer.cancel()
        if thread.slow:
            self._slow -= 1
            thread.end()  # its priority cannot be raised again
        else:
            self._idle.append(thread)
        self._begin_waiting()


class _Thread:
    """A thread that runs one step after another; the event loop owns everything but `_serve`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.slow = False
        self.timer: asyncio.TimerHandle | None = None
        self._loop = loop
        self._work: SimpleQueue[tuple[list[Step], RowEnded] | None] = SimpleQueue()
        self._began_at = 0.0
        # A daemon thread: the interpreter does not wait for it when the process ends.
        self._thread = threading.Thread(target=self._serve, name="tls-handshake", daemon=True)
        self._thread.start()
        assert self._thread.ident is not None
        self._clock = time.pthread_getcpuclockid(self._thread.ident)

    @property
    def native_id(self) -> int:
        """The operating system's number of the thread."""
        assert self._thread.native_id is not None
        return self._thread.native_id

    def begin(self, steps: list[Step], ended: RowEnded) -> None:
        """Do steps in a row, for some time; the loop calls `ended` with the rest of them."""
        self._began_at = time.clock_gettime(self._clock)
        self._work.put((steps, ended))

    def cpu_seconds(self) -> float:
        """The CPU time of its present step so far."""
        return time.clock_gettime(self._clock) - self._began_at

    def end(self) -> None:
        """End the thread, after its present steps."""
        self._work.put(None)

    def _serve(self) -> None:
        while self._do_next():
            pass

    def _do_next(self) -> bool:
        """Return whether there may be more; a function, so that nothing done is kept in memory."""
        if (next_one := self._work.get()) is None:
            return False
        steps, ended = next_one
        rest, row_began = deque(steps), time.thread_time()
        try:
            while rest and time.thread_time() - row_began < ROW_SECONDS:
                step = rest.popleft()
                if step.wanted():
                    self._began_at = began = time.thread_time()
                    step.work()
                    self._loop.call_soon_threadsafe(step.ended, time.thread_time() - began)
            self._loop.call_soon_threadsafe(ended, tuple(rest), time.thread_time() - row_began)
        except RuntimeError:  # the loop is closed
            return False
        return True
