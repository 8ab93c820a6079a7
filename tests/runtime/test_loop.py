"""A loop continues after every fault, wakes when it is woken, and stops when it is stopped."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Self

import asyncpg
import pytest
from structlog.testing import capture_logs

from daemon.core.errors import (
    DatabaseBusyError,
    DatabaseUnavailableError,
    ReadOnlyDatabaseError,
    StatementTimeoutError,
)
from daemon.runtime.loop import (
    LONGEST_BACK_OFF,
    SHORTEST_BACK_OFF,
    Heartbeats,
    run_loop,
    sleep_until_woken,
)
from daemon.store.errors import translated
from tests.support.daemons import until

AN_HOUR = 3600.0
LOST = DatabaseUnavailableError("connection refused")
Step = float | Exception | Callable[[], float]


class ScriptedLoop:
    """A loop whose runs follow a script; after the last one it sleeps for an hour."""

    name = "scripted"

    def __init__(self, *steps: Step) -> None:
        self.wake = asyncio.Event()
        self.ran_at: list[float] = []
        self._steps: Iterator[Step] = iter(steps)

    @property
    def runs(self) -> int:
        return len(self.ran_at)

    async def run_once(self) -> float:
        self.ran_at.append(time.monotonic())
        await asyncio.sleep(0)
        step = next(self._steps, AN_HOUR)
        if isinstance(step, Exception):
            raise step
        return step() if callable(step) else step


class RunningLoop:
    """Runs the loop in a task until the block ends."""

    def __init__(self, loop: ScriptedLoop) -> None:
        self.stop = asyncio.Event()
        self.heartbeats = Heartbeats()
        self._loop = loop

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(
            run_loop(self._loop, stop=self.stop, heartbeats=self.heartbeats)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        self._loop.wake.set()
        async with asyncio.timeout(5):
            await self._task


def waits(loop: ScriptedLoop) -> Sequence[float]:
    return [later - earlier for earlier, later in zip(loop.ran_at, loop.ran_at[1:], strict=False)]


async def test_a_loop_runs_until_it_is_stopped() -> None:
    loop = ScriptedLoop(0.0, 0.0, 0.001)
    async with RunningLoop(loop):
        await until(lambda: loop.runs == 4)

    assert loop.runs == 4


async def test_a_loop_that_is_stopped_before_its_start_does_not_run() -> None:
    loop, stop = ScriptedLoop(), asyncio.Event()
    stop.set()

    await run_loop(loop, stop=stop, heartbeats=Heartbeats())

    assert loop.runs == 0


async def test_a_sleep_lasts_as_long_as_the_run_returned() -> None:
    loop = ScriptedLoop(0.05)
    async with RunningLoop(loop):
        await until(lambda: loop.runs == 2)

    assert waits(loop)[0] >= 0.049


async def test_a_wake_ends_a_sleep() -> None:
    loop = ScriptedLoop()
    async with RunningLoop(loop):
        await until(lambda: loop.runs == 1)
        loop.wake.set()
        await until(lambda: loop.runs == 2)


async def test_a_wake_during_a_run_is_not_lost() -> None:
    loop = ScriptedLoop(lambda: woken(loop), AN_HOUR)
    async with RunningLoop(loop):
        await until(lambda: loop.runs == 2)


def woken(loop: ScriptedLoop) -> float:
    loop.wake.set()
    return AN_HOUR


async def test_many_wakes_cause_one_run() -> None:
    loop = ScriptedLoop()
    async with RunningLoop(loop):
        await until(lambda: loop.runs == 1)
        for _ in range(100):
            loop.wake.set()
        await until(lambda: loop.runs == 2)

    assert loop.runs == 2


async def test_a_stop_ends_a_sleep_at_once() -> None:
    loop = ScriptedLoop()
    async with RunningLoop(loop):
        await until(lambda: loop.runs == 1)
        began = time.monotonic()

    assert time.monotonic() - began < 1
    assert loop.runs == 1


async def test_a_run_that_raises_is_logged_and_followed_by_the_next() -> None:
    loop = ScriptedLoop(ValueError("a bug"), 0.0)
    with capture_logs() as logs:
        async with RunningLoop(loop):
            await until(lambda: loop.runs == 3)

    assert [line["event"] for line in logs] == ["loop.failed", "loop.recovered"]
    assert logs[0]["loop"] == "scripted"
    assert logs[0]["exc_info"]
    assert waits(loop)[0] >= SHORTEST_BACK_OFF - 0.001


async def test_an_unavailable_database_is_logged_once_and_so_is_its_return() -> None:
    loop = ScriptedLoop(LOST, LOST, LOST, 0.0)
    with capture_logs() as logs:
        async with RunningLoop(loop):
            await until(lambda: loop.runs == 5)

    assert [line["event"] for line in logs] == ["database.lost", "loop.recovered"]
    assert logs[0]["log_level"] == "warning"
    assert logs[0]["reason"] == "connection refused"


async def test_a_lock_of_another_transaction_is_not_logged_as_a_lost_database() -> None:
    busy = DatabaseBusyError("deadlock detected")
    loop = ScriptedLoop(busy, busy, 0.0)
    with capture_logs() as logs:
        async with RunningLoop(loop):
            await until(lambda: loop.runs == 4)

    assert [line["event"] for line in logs] == ["database.busy", "loop.recovered"]


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (asyncpg.QueryCanceledError("canceling statement due to statement timeout"), "busy"),
        (TimeoutError(), "lost"),
    ],
    ids=["by PostgreSQL", "by our clock"],
)
async def test_a_statement_that_postgresql_cancelled_is_not_logged_as_a_lost_database(
    error: Exception, event: str
) -> None:
    with pytest.raises(StatementTimeoutError) as raised, translated():
        raise error
    loop = ScriptedLoop(raised.value)
    with capture_logs() as logs:
        async with RunningLoop(loop):
            await until(lambda: loop.runs == 2)

    assert [line["event"] for line in logs] == [f"database.{event}", "loop.recovered"]


async def test_a_read_only_database_is_logged_once_for_all_loops() -> None:
    heartbeats, stop = Heartbeats(), asyncio.Event()
    loops = [ScriptedLoop(*[ReadOnlyDatabaseError("a standby")] * 2, 0.0) for _ in range(3)]
    for number, each in enumerate(loops):
        each.name = str(number)
    with capture_logs() as logs:
        running = [
            asyncio.create_task(run_loop(each, stop=stop, heartbeats=heartbeats)) for each in loops
        ]
        await until(lambda: heartbeats.read_only == "a standby")
        await until(lambda: all(each.runs == 4 for each in loops))
        stop.set()
        for each in loops:
            each.wake.set()
        await asyncio.gather(*running)

    assert [line["event"] for line in logs].count("database.read_only") == 1
    assert heartbeats.read_only is None


@pytest.mark.parametrize(
    "error", [OSError("a file is missing"), TimeoutError(), ConnectionRefusedError()], ids=repr
)
async def test_an_os_error_from_elsewhere_than_the_database_is_logged_with_its_traceback(
    error: Exception,
) -> None:
    loop = ScriptedLoop(error, error, 0.0)
    with capture_logs() as logs:
        async with RunningLoop(loop):
            await until(lambda: loop.runs == 4)

    assert [line["event"] for line in logs] == ["loop.failed", "loop.failed", "loop.recovered"]
    assert logs[0]["exc_info"] is error


async def test_the_waits_for_a_lost_database_double() -> None:
    loop = ScriptedLoop(*[LOST] * 3)
    async with RunningLoop(loop):
        await until(lambda: loop.runs == 4)

    expected = [SHORTEST_BACK_OFF, 2 * SHORTEST_BACK_OFF, 4 * SHORTEST_BACK_OFF]
    for wait, least in zip(waits(loop), expected, strict=True):
        assert least - 0.002 <= wait < LONGEST_BACK_OFF


async def test_a_wake_ends_a_wait_for_a_lost_database() -> None:
    loop = ScriptedLoop(*[LOST] * 8)
    async with RunningLoop(loop):
        for runs in range(1, 9):
            await until(lambda runs=runs: loop.runs >= runs)
            loop.wake.set()
        began = time.monotonic()

    assert time.monotonic() - began < LONGEST_BACK_OFF


async def test_a_successful_run_resets_the_back_off() -> None:
    loop = ScriptedLoop(LOST, LOST, LOST, 0.0, LOST, 0.0)
    async with RunningLoop(loop):
        await until(lambda: loop.runs == 7)

    assert waits(loop)[4] < waits(loop)[2]


async def test_only_a_successful_run_resets_the_age_of_a_heartbeat() -> None:
    loop = ScriptedLoop(0.0, *[LOST] * 1000)
    async with RunningLoop(loop) as running:
        await until(lambda: loop.runs == 2)
        first = running.heartbeats.ages()["scripted"]
        await until(lambda: loop.runs == 4)
        second = running.heartbeats.ages()["scripted"]

    assert second > first


async def test_a_loop_is_failing_from_its_first_failure_until_its_next_success() -> None:
    loop = ScriptedLoop(LOST, LOST, LOST, 0.0, AN_HOUR)
    async with RunningLoop(loop) as running:
        # The first failure can have the same time as the start: the clock counts milliseconds.
        await until(lambda: loop.runs == 3)
        failing = running.heartbeats.states()["scripted"]
        await until(lambda: loop.runs == 5)
        recovered = running.heartbeats.states()["scripted"]

    assert failing.failing_for > 0
    assert failing.run_age < failing.success_age
    assert recovered.failing_for == 0


async def test_a_loop_has_a_heartbeat_from_its_start() -> None:
    loop = ScriptedLoop(LOST)
    async with RunningLoop(loop) as running:
        await until(lambda: loop.runs == 1)

        assert running.heartbeats.ages().keys() == {"scripted"}


async def test_a_cancelled_loop_raises_cancelled_error() -> None:
    loop = ScriptedLoop()
    task = asyncio.create_task(run_loop(loop, stop=asyncio.Event(), heartbeats=Heartbeats()))
    await until(lambda: loop.runs == 1)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_sleep_ends_at_once_if_the_wake_came_before_it() -> None:
    wake = asyncio.Event()
    wake.set()

    async with asyncio.timeout(1):  # the check: a TimeoutError otherwise
        await sleep_until_woken(wake, AN_HOUR)


async def test_a_sleep_ends_by_itself_without_a_wake() -> None:
    began = time.monotonic()

    await sleep_until_woken(asyncio.Event(), 0.02)

    assert 0.019 <= time.monotonic() - began < 1
