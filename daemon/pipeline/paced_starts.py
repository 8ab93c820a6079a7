"""
Begins attempts a few in each iteration of the loop.

So no more are in flight than the processor can serve: what is begun faster than it ends makes each
iteration longer, and with it the latency of all.
"""

import asyncio
from collections.abc import Callable, Iterable
from itertools import islice

from daemon.core.model.attempts import Claim

# Of any number of claimed attempts, which may be due at one moment, a new event passes a few only.
# Fewer first attempts at once would make smaller batches of results.
FIRST_AT_ONCE, CLAIMED_AT_ONCE = 32, 2


async def start_all(
    claims: Iterable[Claim],
    at_once: int,
    *,
    start: Callable[[Claim], None],
    give_back: Callable[[Claim], None],
) -> None:
    """Begin these, `at_once` in each iteration; if it is cancelled, the others are given back."""
    waiting = iter(claims)
    try:
        while few := list(islice(waiting, at_once)):
            for claim in few:
                start(claim)
            await asyncio.sleep(0)
    finally:
        for claim in waiting:
            give_back(claim)
