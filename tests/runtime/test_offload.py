"""Large work runs in another thread than the event loop, one piece at a time."""

import asyncio
import threading

from daemon.runtime.offload import LARGE, Offload
from tests.support.daemons import until


async def test_only_large_work_leaves_the_thread_of_the_event_loop() -> None:
    offload = Offload()

    small = await offload.run(threading.get_ident, size=LARGE)
    large = await offload.run(threading.get_ident, size=LARGE + 1)

    assert small == threading.get_ident() != large


async def test_large_work_runs_one_piece_at_a_time_and_does_not_block_the_event_loop() -> None:
    offload, proceed, started = Offload(), threading.Event(), 0

    def work() -> None:
        nonlocal started
        started += 1
        assert proceed.wait(30)

    tasks = [asyncio.create_task(offload.run(work, size=LARGE + 1)) for _ in range(5)]
    await until(lambda: started)
    assert started == 1
    proceed.set()
    await asyncio.gather(*tasks)
    assert started == 5
