"""Large work runs in threads beside the event loop, one piece at a time in each, by owner."""

import asyncio
import threading
from functools import partial

import pytest

from daemon.runtime.offload import LARGE, SHORT, Offload
from tests.support.daemons import until


class Work:
    """Pieces of work that wait until they may go on; `order` has the names of those that began."""

    def __init__(self) -> None:
        self.offload = Offload()
        self.order: list[str] = []
        self.proceed = threading.Event()

    def begin(self, name: str) -> "asyncio.Task[None]":
        """Hand over a piece of the owner who has the name's first letter."""
        work = partial(self._piece, name)
        return asyncio.create_task(self.offload.run(work, size=LARGE + 1, owner=name[0]))

    def _piece(self, name: str) -> None:
        self.order.append(name)
        assert self.proceed.wait(30)


async def test_only_large_work_leaves_the_thread_of_the_event_loop() -> None:
    offload = Offload()

    small = await offload.run(threading.get_ident, size=LARGE, owner="a")
    large = await offload.run(threading.get_ident, size=LARGE + 1, owner="a")

    assert small == threading.get_ident() != large


async def test_large_work_runs_one_piece_at_a_time_and_does_not_block_the_event_loop() -> None:
    work = Work()

    tasks = [work.begin(f"a{n}") for n in range(5)]
    await until(lambda: work.order)
    assert work.order == ["a0"]
    work.proceed.set()
    await asyncio.gather(*tasks)

    assert len(work.order) == 5


async def test_short_work_does_not_wait_for_long_work() -> None:
    offload, proceed = Offload(), threading.Event()
    long = asyncio.create_task(offload.run(lambda: proceed.wait(30), size=SHORT + 1, owner="a"))
    await asyncio.sleep(0)

    assert await offload.run(lambda: "printed", size=SHORT, owner="b") == "printed"
    assert not long.done()
    proceed.set()
    assert await long


async def test_an_owner_with_much_work_delays_another_s_by_a_piece_or_two() -> None:
    work = Work()

    tasks = [work.begin(name) for name in ("a0", "a1", "a2", "b0", "c0", "c1")]
    await until(lambda: work.order)
    work.proceed.set()
    await asyncio.gather(*tasks)

    assert sorted(work.order) == sorted(["a0", "a1", "a2", "b0", "c0", "c1"])
    assert {"b0", "c0"} < set(work.order[:4])


async def test_work_that_is_cancelled_or_fails_leaves_the_thread_to_others() -> None:
    work = Work()

    running, waiting, last = (work.begin(name) for name in ("a0", "a1", "b0"))
    await until(lambda: work.order)
    waiting.cancel()
    running.cancel()
    await asyncio.sleep(0)
    assert work.order == ["a0"]  # which the thread still runs
    work.proceed.set()
    await last
    with pytest.raises(ZeroDivisionError):
        await work.offload.run_in_thread(lambda: 1 // 0, owner="a")
    await work.offload.run_in_thread(lambda: work.order.append("b1"), owner="b")

    assert work.order == ["a0", "b0", "b1"]
