"""
The loop's time that a request takes, also in tasks of its own: it counts against its caller.

A handler's own time is measured where requests begin (`server.request_limits`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from aiohttp import web

from daemon.runtime.timed_steps import TimedSteps, Turn

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OwnTime:
    """Calls of a request before and after each step of its work, as `TimedSteps` has it."""

    spend: Callable[[float], None]
    turn: Turn

    async def measured(self, work: Awaitable[T]) -> T:
        """Return or raise what the work does; its steps begin in turn, and count."""
        return await TimedSteps(work, self.spend, self.turn)


OWN_TIME = web.RequestKey("own_time", OwnTime)

# Called, once or more often, by a response that lasts: others of its caller need not wait for it.
END_TURN = web.RequestKey("end_turn", partial[None])


async def to_its_end(request: web.Request, work: Coroutine[Any, Any, T]) -> T:
    """
    Do the work of a request to its end, even if the client disconnects meanwhile.

    Returns or raises what it does. The request is not over before, so that it keeps its place
    among those of its caller; then it raises CancelledError if it was cancelled.
    """
    task = asyncio.create_task(_measured(request, work))
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # retrieved: no caller is left to report it to
    raise cancelled


async def _measured(request: web.Request, work: Coroutine[Any, Any, T]) -> T:
    own_time = request.get(OWN_TIME)
    return await (work if own_time is None else own_time.measured(work))
