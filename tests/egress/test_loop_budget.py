"""CPU work is spread over iterations of the event loop."""

import asyncio
from functools import partial
from itertools import pairwise
from typing import Any

from daemon.egress.connector import OPENING_SECONDS
from daemon.egress.loop_budget import LoopBudget
from tests.support.daemons import until


class Clock:
    """A clock that advances only with the work that runs."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


async def test_work_beyond_the_budget_runs_in_order_in_later_iterations() -> None:
    clock, done = Clock(), list[object]()
    budget = LoopBudget(seconds=1.0, clock=clock).of("a")

    def work(name: int) -> None:
        clock.at += 0.6
        done.append(name)

    for name in range(4):
        if not budget.try_run(partial(work, name)):
            budget.run_later(partial(work, name))
    at_once = list(done)
    asyncio.get_running_loop().call_soon(done.append, "other work")
    await until(lambda: len(done) == 5)

    assert at_once == [0, 1]
    assert done == [0, 1, 2, 3, "other work"]


async def test_new_work_does_not_overtake_waiting_work() -> None:
    clock = Clock()
    budget = LoopBudget(seconds=1.0, clock=clock).of("a")

    def long() -> None:
        clock.at += 2.0

    assert budget.try_run(long)
    assert not budget.try_run(long)
    budget.run_later(long)
    budget.run_later(long)
    await asyncio.sleep(0)  # one of them has run

    assert not budget.try_run(long)


async def test_every_iteration_of_the_loop_has_a_new_budget() -> None:
    clock = Clock()
    budget = LoopBudget(seconds=1.0, clock=clock).of("a")

    def long() -> None:
        clock.at += 2.0

    for _ in range(3):
        assert budget.try_run(long)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_work_that_fails_does_not_stop_the_work_after_it() -> None:
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    clock, done = Clock(), asyncio.Event()
    budget = LoopBudget(seconds=1.0, clock=clock).of("a")

    def fail() -> None:
        raise RuntimeError

    budget.run_later(fail)
    budget.run_later(done.set)
    await asyncio.wait_for(done.wait(), 5)

    assert [type(each["exception"]) for each in reported] == [RuntimeError]


async def test_turns_wait_like_work_and_count_as_long_as_they_say() -> None:
    budget, done = LoopBudget(seconds=1.0, clock=Clock()).of("a"), list[object]()

    async def take(name: object) -> None:
        await budget.turn(0.6)
        done.append(name)

    async with asyncio.TaskGroup() as group:
        for name in range(5):
            group.create_task(take(name))
        await asyncio.sleep(0)
        at_once = list(done)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        later = list(done)

    assert at_once == [0, 1]
    assert later == [0, 1, 2, 3]
    assert done == [0, 1, 2, 3, 4]


async def test_unproven_endpoints_of_many_owners_have_every_other_turn() -> None:
    budget, done = LoopBudget(seconds=1.0, clock=Clock()), list[str]()

    async def take(name: str, *, unproven: bool) -> None:
        await budget.of(name).turn(2.0, unproven=unproven)
        done.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(take("first", unproven=True))
        for number in range(20):
            group.create_task(take(f"new {number}", unproven=True))
        for number in range(3):
            group.create_task(take(f"known {number}", unproven=False))

    places = [done.index(f"known {number}") for number in range(3)]
    assert places[0] <= 2
    assert [later - earlier for earlier, later in pairwise(places)] == [2, 2]


async def test_a_turn_that_is_cancelled_holds_up_no_other() -> None:
    budget = LoopBudget(seconds=1.0, clock=Clock()).of("a")
    await budget.turn(2.0)
    cancelled, other = (asyncio.create_task(budget.turn(2.0)) for _ in range(2))
    await asyncio.sleep(0)

    cancelled.cancel()

    await asyncio.wait_for(other, 5)  # the check: held up, it would be a TimeoutError


async def test_owners_have_the_budget_in_turn() -> None:
    clock, done = Clock(), list[str]()
    budget = LoopBudget(seconds=1.0, clock=clock)

    def work(name: str) -> None:
        clock.at += 0.6
        done.append(name)

    for name in ("a0", "a1", "a2", "a3", "b0", "b1", "c0"):
        budget.of(name[0]).run_later(partial(work, name))
    budget.of("c").run_after_waiting(partial(done.append, "c, after its work"))
    budget.of("d").run_after_waiting(partial(done.append, "d, which has none"))
    await until(lambda: len(done) == 9)

    assert done[0] == "d, which has none"
    assert done[1:] == ["a0", "b0", "c0", "a1", "b1", "c, after its work", "a2", "a3"]


async def test_few_connections_are_opened_in_one_iteration() -> None:
    budget, opened = LoopBudget(clock=Clock()), 0

    async def open_one(owner: int) -> None:
        nonlocal opened
        await budget.of(owner).turn(OPENING_SECONDS)
        opened += 1

    tasks = [asyncio.create_task(open_one(owner)) for owner in range(30)]
    counts = [0]
    while opened < len(tasks):
        await asyncio.sleep(0)
        counts.append(opened)

    assert max(after - before for before, after in pairwise(counts)) == 3
