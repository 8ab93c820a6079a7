"""Short work never waits for long work, which loses nothing while others want no place."""

import asyncio
from collections import Counter
from math import inf

import pytest

from daemon.runtime.loop_share import LoopShare
from daemon.runtime.stages import Stage, Stages
from daemon.runtime.time_slice import TimeSlice
from tests.support.daemons import until

SLICE = 0.001
LIMIT = 2.5 * SLICE  # three slices


class Work:
    """Work of several owners, in slices; which began, and which ended."""

    def __init__(self, *stages: Stage) -> None:
        self.stages = Stages(stages, LoopShare(1e9))
        self.begun: Counter[str] = Counter()
        self.ended: list[str] = []
        self.may_end = asyncio.Event()

    async def long(self, owner: str) -> None:
        """Work that takes slice after slice until it may end."""

        async def steps(time_slice: TimeSlice) -> None:
            self.begun[owner] += 1
            while not self.may_end.is_set():
                await time_slice.rest_after(SLICE)

        await self.stages.run(owner, steps)
        self.ended.append(owner)

    async def short(self, owner: str, slices: int = 0) -> None:
        async def steps(time_slice: TimeSlice) -> None:
            self.begun[owner] += 1
            for _ in range(slices):
                await time_slice.rest_after(SLICE)

        await self.stages.run(owner, steps)
        self.ended.append(owner)

    async def begins(self, *owners: str) -> None:
        await until(lambda: all(self.begun[owner] for owner in owners))


async def test_short_work_waits_for_no_long_work_however_much_there_is() -> None:
    work = Work(Stage(1, LIMIT), Stage(1, inf))
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        costly = [f"costly{number}" for number in range(5)]
        for owner in costly:
            tasks.create_task(work.long(owner))
        await work.begins(*costly)

        await work.short("light", slices=2)

        assert work.ended == ["light"]
        work.may_end.set()
    assert sorted(work.ended) == sorted([*costly, "light"])


async def test_long_work_alone_goes_on_in_later_stages_and_never_begins_again() -> None:
    work = Work(Stage(1, LIMIT), Stage(1, 2 * LIMIT), Stage(1, inf))

    await work.short("alone", slices=50)

    assert work.begun["alone"] == 1
    assert work.ended == ["alone"]


async def test_long_work_begins_again_once_there_is_a_place_for_it() -> None:
    work = Work(Stage(1, LIMIT), Stage(1, inf))
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(work.long("first"))
        await work.begins("first")
        later = tasks.create_task(work.short("later", slices=5))
        await work.begins("later")
        await work.short("light")  # has its place once the other's work was ended
        assert not later.done()
        work.may_end.set()

    assert work.begun == {"first": 1, "later": 2, "light": 1}
    assert work.ended == ["light", "first", "later"]


async def test_light_work_of_many_owners_is_done_in_turn() -> None:
    work = Work(Stage(1, LIMIT), Stage(1, inf))
    owners = [f"light{number}" for number in range(20)]

    await asyncio.gather(*(work.short(owner, slices=1) for owner in owners))

    assert work.ended == owners
    assert work.begun == dict.fromkeys(owners, 1)


async def test_an_owners_work_begins_where_its_work_before_ended() -> None:
    work = Work(Stage(1, LIMIT), Stage(1, inf))
    await work.short("costly", slices=5)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(work.long("long"))
        await work.begins("long")
        await work.short("light", slices=2)  # has its place once the long one is in the last stage
        costly = tasks.create_task(work.short("costly"))
        await work.short("light")
        assert not costly.done()
        work.may_end.set()
    work.may_end.clear()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(work.long("long"))
        await work.short("costly")  # its work before was short
        work.may_end.set()

    assert work.begun["costly"] == 3


async def test_a_timeout_of_the_work_itself_is_raised() -> None:
    work = Work(Stage(1, LIMIT), Stage(1, inf))

    async def steps(_: TimeSlice) -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await work.stages.run("a", steps)
    await work.short("a")  # the place was given back
