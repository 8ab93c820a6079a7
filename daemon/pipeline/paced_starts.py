"""
Begins attempts a few in each iteration of the loop.

So no more are in flight than the processor can serve: what is begun faster than it ends makes each
iteration longer, and with it the latency of all.
"""

import asyncio
from collections.abc import Callable, Iterable
from itertools import islice

from daemon.core.model.attempts import Claim

AT_ONCE = 8


async def start_all(
    claims: Iterable[Claim],
    *,
    start: Callable[[Claim], None],
    give_back: Callable[[Claim], None],
) -> None:
    """Begin these attempts; those that are left when it is cancelled are given back."""
    waiting = iter(claims)
    try:
        while few := list(islice(waiting, AT_ONCE)):
            for claim in few:
                start(claim)
            await asyncio.sleep(0)
    finally:
        for claim in waiting:
            give_back(claim)
