"""A loop turns through every fault, wakes when it is woken, and stops when it is told to."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Self

import pytest
from structlog.testing import capture_logs

from daemon.core.errors import DatabaseBusyError, DatabaseUnavailableError
from daemon.runtime.loop import (
    LONGEST_BACK_OFF,
    SHORTEST_BACK_OFF,
    Heartbeats,
    run_loop,
    sleep_until_woken,
)
from tests.support.daemons import until

FOR_EVER = 3600.0
LOST = DatabaseUnavailableError("connection refused")
Step = float | Exception | Callable[[], float]


class Scripted:
    """A loop whose turns are told beforehand; after the last it rests for ever."""

    name = "scripted"

    def __init__(self, *steps: Step) -> None:
        self.wake = asyncio.Event()
        self.turned_at: list[float] = []
        self._steps: Iterator[Step] = iter(steps)

    @property
    def turns(self) -> int:
        return len(self.turned_at)

    async def run_once(self) -> float:
        self.turned_at.append(time.monotonic())
        await asyncio.sleep(0)
        step = next(self._steps, FOR_EVER)
        if isinstance(step, Exception):
            raise step
        return step() if callable(step) else step


class Turning:
    """The loop, turning in a task of its own until the block ends."""

    def __init__(self, loop: Scripted) -> None:
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


def waits(loop: Scripted) -> Sequence[float]:
    return [
        later - earlier for earlier, later in zip(loop.turned_at, loop.turned_at[1:], strict=False)
    ]


async def test_a_loop_turns_until_it_is_stopped() -> None:
    loop = Scripted(0.0, 0.0, 0.001)
    async with Turning(loop):
        await until(lambda: loop.turns == 4)

    assert loop.turns == 4


async def test_a_loop_that_is_stopped_before_it_began_does_not_turn() -> None:
    loop, stop = Scripted(), asyncio.Event()
    stop.set()

    await run_loop(loop, stop=stop, heartbeats=Heartbeats())

    assert loop.turns == 0


async def test_a_rest_lasts_as_long_as_the_turn_says() -> None:
    loop = Scripted(0.05)
    async with Turning(loop):
        await until(lambda: loop.turns == 2)

    assert waits(loop)[0] >= 0.049


async def test_a_wake_cuts_a_rest_short() -> None:
    loop = Scripted()
    async with Turning(loop):
        await until(lambda: loop.turns == 1)
        loop.wake.set()
        await until(lambda: loop.turns == 2)


async def test_a_wake_during_a_turn_survives() -> None:
    loop = Scripted(lambda: woken(loop), FOR_EVER)
    async with Turning(loop):
        await until(lambda: loop.turns == 2)


def woken(loop: Scripted) -> float:
    loop.wake.set()
    return FOR_EVER


async def test_many_wakes_are_one() -> None:
    loop = Scripted()
    async with Turning(loop):
        await until(lambda: loop.turns == 1)
        for _ in range(100):
            loop.wake.set()
        await until(lambda: loop.turns == 2)

    assert loop.turns == 2


async def test_a_stop_during_a_rest_ends_it_at_once() -> None:
    loop = Scripted()
    async with Turning(loop):
        await until(lambda: loop.turns == 1)
        began = time.monotonic()

    assert time.monotonic() - began < 1
    assert loop.turns == 1


async def test_a_turn_that_raises_is_logged_and_the_next_one_comes() -> None:
    loop = Scripted(ValueError("a bug"), 0.0)
    with capture_logs() as logs:
        async with Turning(loop):
            await until(lambda: loop.turns == 3)

    assert [line["event"] for line in logs] == ["loop.failed", "loop.recovered"]
    assert logs[0]["loop"] == "scripted"
    assert logs[0]["exc_info"]
    assert waits(loop)[0] >= SHORTEST_BACK_OFF - 0.001


async def test_an_unavailable_database_is_logged_once_and_its_return_once() -> None:
    lost = DatabaseUnavailableError("connection refused")
    loop = Scripted(lost, lost, lost, 0.0)
    with capture_logs() as logs:
        async with Turning(loop):
            await until(lambda: loop.turns == 5)

    assert [line["event"] for line in logs] == ["database.lost", "loop.recovered"]
    assert logs[0]["log_level"] == "warning"
    assert logs[0]["reason"] == "connection refused"


async def test_a_lock_of_another_transaction_is_not_logged_as_a_lost_database() -> None:
    busy = DatabaseBusyError("deadlock detected")
    loop = Scripted(busy, busy, 0.0)
    with capture_logs() as logs:
        async with Turning(loop):
            await until(lambda: loop.turns == 4)

    assert [line["event"] for line in logs] == ["database.busy", "loop.recovered"]


@pytest.mark.parametrize(
    "error", [OSError("a file is missing"), TimeoutError(), ConnectionRefusedError()], ids=repr
)
async def test_an_os_error_that_is_not_the_databases_is_logged_with_its_traceback(
    error: Exception,
) -> None:
    loop = Scripted(error, error, 0.0)
    with capture_logs() as logs:
        async with Turning(loop):
            await until(lambda: loop.turns == 4)

    assert [line["event"] for line in logs] == ["loop.failed", "loop.failed", "loop.recovered"]
    assert logs[0]["exc_info"] is error


async def test_the_waits_for_a_lost_database_double() -> None:
    loop = Scripted(*[LOST] * 3)
    async with Turning(loop):
        await until(lambda: loop.turns == 4)

    expected = [SHORTEST_BACK_OFF, 2 * SHORTEST_BACK_OFF, 4 * SHORTEST_BACK_OFF]
    for wait, least in zip(waits(loop), expected, strict=True):
        assert least - 0.002 <= wait < LONGEST_BACK_OFF


async def test_a_wake_cuts_a_wait_for_a_lost_database_short() -> None:
    loop = Scripted(*[LOST] * 8)
    async with Turning(loop):
        for turns in range(1, 9):
            await until(lambda turns=turns: loop.turns >= turns)
            loop.wake.set()
        began = time.monotonic()

    assert time.monotonic() - began < LONGEST_BACK_OFF


async def test_a_good_turn_begins_the_waits_anew() -> None:
    refused = LOST
    loop = Scripted(refused, refused, refused, 0.0, refused, 0.0)
    async with Turning(loop):
        await until(lambda: loop.turns == 7)

    assert waits(loop)[4] < waits(loop)[2]


async def test_the_pulse_beats_only_with_good_turns() -> None:
    loop = Scripted(0.0, *[LOST] * 1000)
    async with Turning(loop) as turning:
        await until(lambda: loop.turns == 2)
        first = turning.heartbeats.ages()["scripted"]
        await until(lambda: loop.turns == 4)
        second = turning.heartbeats.ages()["scripted"]

    assert second > first


async def test_a_loop_is_failing_from_its_first_failure_until_its_next_success() -> None:
    loop = Scripted(LOST, LOST, 0.0, FOR_EVER)
    async with Turning(loop) as turning:
        await until(lambda: loop.turns == 2)
        failing = turning.heartbeats.states()["scripted"]
        await until(lambda: loop.turns == 4)
        recovered = turning.heartbeats.states()["scripted"]

    assert failing.failing_for > 0
    assert failing.run_age < failing.success_age
    assert recovered.failing_for == 0


async def test_the_pulse_knows_a_loop_from_its_beginning() -> None:
    loop = Scripted(LOST)
    async with Turning(loop) as turning:
        await until(lambda: loop.turns == 1)

        assert turning.heartbeats.ages().keys() == {"scripted"}


async def test_a_cancelled_loop_ends_and_swallows_nothing() -> None:
    loop = Scripted()
    task = asyncio.create_task(run_loop(loop, stop=asyncio.Event(), heartbeats=Heartbeats()))
    await until(lambda: loop.turns == 1)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_rest_ends_at_a_wake_that_came_before_it() -> None:
    wake = asyncio.Event()
    wake.set()

    async with asyncio.timeout(1):
        await sleep_until_woken(wake, FOR_EVER)


async def test_a_rest_ends_by_itself_without_a_wake() -> None:
    began = time.monotonic()

    await sleep_until_woken(asyncio.Event(), 0.02)

    assert 0.019 <= time.monotonic() - began < 1
