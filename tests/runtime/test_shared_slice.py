"""Slices of patient work are shared out by what each owner recently took."""

import asyncio

from daemon.runtime.loop_share import LoopShare
from daemon.runtime.shared_slice import SharedSlice


async def test_an_owner_that_took_little_has_its_slice_before_many_that_took_much() -> None:
    now = 0.0
    share = LoopShare(clock=lambda: now)
    order: list[str] = []

    async def work(owner: str) -> None:
        await SharedSlice(share, owner).rest_after(0.0)
        order.append(owner)

    costly = [f"costly{number}" for number in range(20)]
    for owner in costly:
        share.spend(owner, 0.02)
    tasks = [asyncio.create_task(work(owner)) for owner in (*costly, *costly, "light")]
    for _ in range(5):
        await asyncio.sleep(0)
    waited = list(order)
    now += 1.0
    await asyncio.gather(*tasks)

    assert waited == []
    assert order == ["light", *costly, *costly]


async def test_an_owner_alone_has_slice_after_slice() -> None:
    now = 0.0
    share = LoopShare(clock=lambda: now)
    used: list[float] = []
    time_slice = SharedSlice(share, "alone", on_used=used.append)

    for _ in range(20):
        now += 0.002  # a slice, and as long a rest
        await time_slice.rest_after(0.001)

    assert used == [0.001] * 20
    assert share.turn("alone") is None


async def test_a_long_statement_counts_as_one_slice_at_most() -> None:
    used: list[float] = []
    time_slice = SharedSlice(LoopShare(), "a", rests=0.0, on_used=used.append)

    await time_slice.rest_after(60.0)

    assert used == [0.01]
