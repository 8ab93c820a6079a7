"""Stalls of the event loop are noticed whatever the cause, and ordinary slowness is not one."""

import asyncio
import time

import pytest
from structlog.testing import capture_logs

from daemon.runtime import stalls
from daemon.runtime.stalls import StallWatch
from tests.support.daemons import until


class Clock:
    """A clock that advances by hand, as if the machine had been suspended meanwhile."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def stand_still(seconds: float) -> None:
    """Hold the event loop."""
    time.sleep(seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_a_late_turn_counts_before_the_next_beat() -> None:
    watch = StallWatch()
    before = watch.watch(60)

    stand_still(0.7)

    assert watch.count() == before + 1
    assert watch.grace_left() > 0
    watch.close()


async def test_turns_that_are_a_little_late_do_not_count(clock: Clock) -> None:
    watch = StallWatch(clock=clock)
    before = watch.watch(60)

    for _ in range(6):
        clock.at += stalls.BEAT_SECONDS + stalls.STALL_SECONDS / 2
        await asyncio.sleep(stalls.BEAT_SECONDS * 1.1)  # the next beat

    assert watch.count() == before
    assert watch.grace_left() == 0
    watch.close()


async def test_the_running_time_leaves_stalls_out() -> None:
    watch = StallWatch()
    watch.watch(60)
    began = watch.running_time()

    stand_still(1.5)
    await asyncio.sleep(0.2)

    assert watch.running_time() - began < 1.0
    watch.close()


async def test_a_suspended_machine_is_a_stall_that_the_loop_s_own_clock_does_not_show(
    clock: Clock,
) -> None:
    lengths: list[float] = []
    watch = StallWatch(clock=clock, on_stall=lengths.append)
    before, began = watch.watch(60), watch.running_time()

    clock.at += 3600
    watch.count()

    assert watch.count() == before + 1
    assert lengths == [pytest.approx(3600, abs=1)]
    assert watch.running_time() >= began
    watch.close()


async def test_the_grace_ends_a_moment_after_the_stall(clock: Clock) -> None:
    watch = StallWatch(clock=clock)
    watch.watch(60)

    clock.at += 10
    after_stall = watch.grace_left()
    clock.at += stalls.GRACE_SECONDS / 2
    half_way = watch.grace_left()

    assert after_stall == stalls.GRACE_SECONDS
    assert half_way == pytest.approx(stalls.GRACE_SECONDS / 2)
    watch.close()


async def test_before_the_first_attempt_nothing_counts(clock: Clock) -> None:
    watch = StallWatch(clock=clock)

    clock.at += 10

    assert watch.grace_left() == 0
    assert watch.count() == 0
    watch.close()


async def test_the_heartbeat_goes_on() -> None:
    lengths: list[float] = []
    watch = StallWatch(on_stall=lengths.append)
    watch.watch(60)

    stand_still(0.7)
    await until(lambda: len(lengths) == 1)
    stand_still(0.7)
    await until(lambda: len(lengths) == 2)

    watch.close()


async def test_the_heartbeat_rests_while_no_request_needs_it_and_begins_again() -> None:
    lengths: list[float] = []
    watch = StallWatch(on_stall=lengths.append)
    watch.watch(0.05)

    await asyncio.sleep(3 * stalls.BEAT_SECONDS)
    stand_still(0.7)
    await asyncio.sleep(2 * stalls.BEAT_SECONDS)
    unwatched = list(lengths)
    before = watch.watch(60)
    stand_still(0.7)
    await until(lambda: len(lengths) == 1)

    assert (unwatched, before, watch.count()) == ([], 0, 1)
    watch.close()


async def test_a_loop_that_stalls_again_and_again_is_reported_once_a_minute(clock: Clock) -> None:
    watch = StallWatch(clock=clock)
    watch.watch(60)

    with capture_logs() as logs:
        for _ in range(20):
            clock.at += 5
            watch.count()

    events = [each["event"] for each in logs]
    assert events.count("loop.stalled") == 20
    assert events.count("loop.overloaded") == 2
    watch.close()


async def test_a_single_long_stall_is_no_overload(clock: Clock) -> None:
    watch = StallWatch(clock=clock)
    watch.watch(60)

    with capture_logs() as logs:
        clock.at += 3600
        watch.count()

    assert [each["event"] for each in logs] == ["loop.stalled"]
    watch.close()
