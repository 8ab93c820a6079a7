"""
Lookups whose replies are too long for UDP, one at a time.

Rule: a customer decides how long a reply is. One of 64 KiB has 4,000 addresses. To convert them
takes 20 ms of the interpreter, and c-ares keeps its channel locked for five times as long, which
stops the event loop when it begins another lookup there. So these lookups have a channel of their
own, which rests after a reply with too many addresses.
"""

import asyncio
from asyncio import Future
from collections.abc import Callable

from pycares import AddrInfoResult

from daemon.core.errors import PostponedError

MAX_ADDRESSES = 128
REPLY_SECONDS = 1.0  # for one lookup
WAIT_SECONDS = 1.0  # for those before it
REST = 4  # times as long as the lookup took


class LongReplies:
    """Begins each lookup when the one before is over; `look_up` may take REPLY_SECONDS."""

    def __init__(self, look_up: Callable[[str], Future[AddrInfoResult]]) -> None:
        self._look_up = look_up
        self._turn = asyncio.Lock()
        self._loop = asyncio.get_running_loop()

    async def look_up(self, name: str) -> AddrInfoResult:
        """
        Return the reply.

        Raises PostponedError when others take too long, which is not this name's fault, or as
        `look_up` does.
        """
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._turn.acquire()
        except TimeoutError:
            raise PostponedError("too many names are being looked up") from None
        began = self._loop.time()
        lookup = self._look_up(name)
        try:
            return await lookup
        finally:
            rest = _rest(lookup, self._loop.time() - began)
            self._loop.call_later(rest, self._turn.release)


def _rest(lookup: Future[AddrInfoResult], took_seconds: float) -> float:
    """The seconds until the next lookup may begin."""
    if lookup.cancelled():
        return REPLY_SECONDS  # c-ares goes on with it
    if lookup.exception() is None and len(lookup.result().nodes) > MAX_ADDRESSES:
        return REST * took_seconds
    return 0.0
