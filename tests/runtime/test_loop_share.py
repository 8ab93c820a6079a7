"""Work that shares half of the loop's time, however many pieces of it run."""

import asyncio
from contextlib import suppress
from functools import partial

import pytest

from daemon.runtime.loop_share import (
    AT_ONCE_SECONDS,
    MOST_OWED_BY_ALL_SECONDS,
    MOST_OWED_SECONDS,
    SHARE,
    LoopShare,
)
from daemon.runtime.timed_steps import TimedSteps

STEP_SECONDS = 0.003


class Loop:
    """A loop whose clock is advanced by the steps of the work, and by everything else."""

    def __init__(self) -> None:
        self.now = 0.0
        self.worked = 0.0
        self.order: list[str] = []
        self.share = LoopShare(clock=lambda: self.now)

    async def work(self, owner: str, steps: int) -> None:
        turn = partial(self.share.turn, owner)
        spend = partial(self.share.spend, owner)
        await TimedSteps(self._steps(owner, steps), lambda _: spend(STEP_SECONDS), turn)

    async def _steps(self, owner: str, steps: int) -> None:
        for _ in range(steps):
            self.now += STEP_SECONDS
            self.worked += STEP_SECONDS
            self.order.append(owner)
            await asyncio.sleep(0)

    async def everything_else(self) -> None:
        while True:
            self.now += 0.0005
            await asyncio.sleep(0)


async def run(*work: tuple[str, int]) -> Loop:
    loop = Loop()
    beside = asyncio.create_task(loop.everything_else())
    await asyncio.gather(*(loop.work(owner, steps) for owner, steps in work))
    beside.cancel()
    return loop


@pytest.mark.parametrize("pieces", [1, 4, 40])
async def test_work_takes_half_of_the_time_however_much_runs_at_once(pieces: int) -> None:
    loop = await run(*[("a", 40 // pieces)] * pieces)

    assert loop.worked <= loop.now / 2 + AT_ONCE_SECONDS + STEP_SECONDS


async def test_owners_have_their_steps_in_turn() -> None:
    loop = await run(*[("a", 5)] * 8, ("b", 5))

    # Of the first, one begins at once and each has one step in turn from then on.
    last = max(at for at, owner in enumerate(loop.order) if owner == "b")
    assert last <= 2 * 6 + 1


async def test_many_owners_with_much_work_delay_one_with_little_by_their_present_step() -> None:
    now = 0.0
    share = LoopShare(clock=lambda: now)
    order: list[str] = []

    async def work(owner: str) -> None:
        turn = share.turn(owner)
        assert turn is not None
        await turn
        order.append(owner)

    heavy = [f"heavy{number}" for number in range(20)]
    for owner in heavy:
        share.spend(owner, 0.02)
    steps = [asyncio.create_task(work(owner)) for owner in (*heavy, *heavy, "rare")]
    await asyncio.sleep(0)
    now += 1.0
    await asyncio.gather(*steps)

    assert order[0] == "rare"
    assert order[1:] == heavy * 2


async def test_small_steps_wait_for_nothing() -> None:
    share = LoopShare(clock=lambda: 0.0)

    for _ in range(20):
        assert share.turn("a") is None
        share.spend("a", AT_ONCE_SECONDS / 20)


async def test_a_step_that_took_very_long_is_not_owed_in_full() -> None:
    now = 0.0
    share = LoopShare(clock=lambda: now)

    share.spend("a", 60)
    owed = share.turn("a")
    now += MOST_OWED_SECONDS / SHARE

    assert owed is not None
    async with asyncio.timeout(5):
        await owed


async def test_a_long_step_is_a_debt_of_its_owner_of_which_others_wait_for_a_part() -> None:
    now = 0.0
    share = LoopShare(clock=lambda: now)
    order: list[str] = []

    async def wait(owner: str) -> None:
        if (turn := share.turn(owner)) is not None:
            await turn
        order.append(owner)

    share.spend("a", 0.05)
    waiting = [asyncio.create_task(wait(owner)) for owner in ("a", "b")]
    await asyncio.sleep(0)
    at_once = list(order)
    now += MOST_OWED_BY_ALL_SECONDS / SHARE
    await waiting[1]
    beside = list(order)
    now += 0.05 / SHARE
    await asyncio.wait_for(waiting[0], 5)

    assert (at_once, beside, order) == ([], ["b"], ["b", "a"])


async def test_owners_who_wait_for_their_debt_hold_up_nobody_who_comes_later() -> None:
    now = 0.0
    share = LoopShare(clock=lambda: now)
    share.spend("a", 0.05)
    owed = share.turn("a")
    now += MOST_OWED_BY_ALL_SECONDS / SHARE
    other = share.turn("b")
    await asyncio.sleep(0)

    assert owed is not None
    assert not owed.done()
    assert other is None or other.done()


async def test_work_that_is_cancelled_while_it_waits_ends_and_holds_up_nobody() -> None:
    now = 0.0
    share = LoopShare(clock=lambda: now)
    share.spend("a", AT_ONCE_SECONDS * 2)
    ended: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.sleep(0)
        finally:
            ended.append(name)

    steps = [
        asyncio.ensure_future(
            TimedSteps(work(name), partial(share.spend, "a"), partial(share.turn, "a"))
        )
        for name in ("first", "second")
    ]
    await asyncio.sleep(0)
    steps[0].cancel()
    now += 1.0
    with suppress(asyncio.CancelledError):
        await steps[0]
    await steps[1]

    assert ended == ["second"]
