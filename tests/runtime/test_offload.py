"""What is large is done beside the loop, and only one such thing at a time."""

import asyncio
import threading

from daemon.runtime.offload import LARGE, Offload
from tests.support.daemons import until


async def test_only_what_is_large_leaves_the_loops_thread() -> None:
    apart = Offload()

    small = await apart.run(threading.get_ident, size=LARGE)
    large = await apart.run(threading.get_ident, size=LARGE + 1)

    assert small == threading.get_ident() != large


async def test_large_things_are_done_one_at_a_time_and_the_loop_turns_meanwhile() -> None:
    apart, go_on, begun = Offload(), threading.Event(), 0

    def work() -> None:
        nonlocal begun
        begun += 1
        assert go_on.wait(30)

    tasks = [asyncio.create_task(apart.run(work, size=LARGE + 1)) for _ in range(5)]
    await until(lambda: begun)
    assert begun == 1
    go_on.set()
    await asyncio.gather(*tasks)
    assert begun == 5
