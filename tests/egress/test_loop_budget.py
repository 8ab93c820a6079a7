"""Work that many cause at once leaves the loop to others in between."""

import asyncio
from functools import partial
from typing import Any

from daemon.egress.loop_budget import LoopBudget
from tests.support.daemons import until


class Clock:
    """Stands still but for the work that is done."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


async def test_what_does_not_fit_into_a_turn_waits_in_order_and_others_come_between() -> None:
    clock, done = Clock(), list[object]()
    budget = LoopBudget(seconds=1.0, clock=clock)

    def work(name: int) -> None:
        clock.at += 0.6
        done.append(name)

    for name in range(4):
        if not budget.try_run(partial(work, name)):
            budget.run_later(partial(work, name))
    at_once = list(done)
    asyncio.get_running_loop().call_soon(done.append, "somebody else")
    await until(lambda: len(done) == 5)

    assert at_once == [0, 1]
    assert done == [0, 1, 2, 3, "somebody else"]


async def test_nobody_gets_in_front_of_those_who_wait() -> None:
    clock = Clock()
    budget = LoopBudget(seconds=1.0, clock=clock)

    def long() -> None:
        clock.at += 2.0

    assert budget.try_run(long)
    assert not budget.try_run(long)
    budget.run_later(long)
    budget.run_later(long)
    await asyncio.sleep(0)  # one of them has had its turn

    assert not budget.try_run(long)


async def test_every_turn_of_the_loop_has_its_time() -> None:
    clock = Clock()
    budget = LoopBudget(seconds=1.0, clock=clock)

    def long() -> None:
        clock.at += 2.0

    for _ in range(3):
        assert budget.try_run(long)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_what_fails_keeps_nobody_waiting() -> None:
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    clock, done = Clock(), asyncio.Event()
    budget = LoopBudget(seconds=1.0, clock=clock)

    def fail() -> None:
        raise RuntimeError

    budget.run_later(fail)
    budget.run_later(done.set)
    await asyncio.wait_for(done.wait(), 5)

    assert [type(each["exception"]) for each in told] == [RuntimeError]
