"""The time of a coroutine's steps, without what it waits for."""

import asyncio
import time

import pytest

from daemon.runtime.timed_steps import TimedSteps


async def test_steps_count_and_waits_do_not() -> None:
    spent: list[float] = []

    async def work() -> str:
        time.sleep(0.02)  # noqa: ASYNC251  as a step that holds the loop
        await asyncio.sleep(0.2)
        return "done"

    assert await TimedSteps(work(), spent.append) == "done"
    assert len(spent) == 2
    assert 0.02 <= sum(spent) < 0.2


async def test_an_exception_passes_and_the_steps_before_it_count() -> None:
    spent: list[float] = []

    async def work() -> None:
        await asyncio.sleep(0)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await TimedSteps(work(), spent.append)
    assert len(spent) == 2


async def test_an_exception_of_what_it_waits_for_can_be_handled() -> None:
    async def work() -> str:
        waiting = asyncio.get_running_loop().create_future()
        waiting.get_loop().call_soon(waiting.set_exception, OSError("lost"))
        try:
            await waiting
        except OSError as error:
            return str(error)
        return "nothing"

    assert await TimedSteps(work(), lambda _: None) == "lost"


async def test_a_cancellation_reaches_the_coroutine() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned up")

    async def timed() -> None:
        await TimedSteps(work(), lambda _: None)

    task = asyncio.create_task(timed())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["cleaned up"]
