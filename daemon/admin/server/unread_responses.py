"""
The memory of responses that clients have not read: a budget of bytes for all connections together.

A client may leave a response unread for minutes. The rule: the budget is never exceeded, and no
caller keeps others from theirs. While no other caller needs it, one may have all of it; then the
caller with the most gives up the response that it has left unread longest.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aiohttp import web

MOST_BYTES = 32 * 1024 * 1024
# A response that is not longer needs no room: all connections together have few megabytes of those.
SMALL_BYTES = 16 * 1024
# Once less is free, the caller with the most waits: the next response may take so much.
NEXT_BYTES = 2 * 1024 * 1024


@dataclass(eq=False, slots=True)
class _Unread:
    owner: Hashable
    size: int
    abort: Callable[[], None]


class UnreadResponses:
    """The responses that are being sent; `on_dropped` is called for each that is given up."""

    def __init__(self, on_dropped: Callable[[], None]) -> None:
        self._on_dropped = on_dropped
        self._unread: dict[_Unread, None] = {}  # the longest unread first
        self._bytes: Counter[Hashable] = Counter()
        self._freed: asyncio.Future[None] | None = None

    @property
    def bytes(self) -> int:
        """The bytes of all of them."""
        return self._bytes.total()

    @contextmanager
    def sending(self, owner: Hashable, size: int, abort: Callable[[], None]) -> Iterator[None]:
        """
        Count a response of this size in bytes while it is sent to this owner.

        `abort` ends its connection, should others need the room.
        """
        if size <= SMALL_BYTES:
            yield
            return
        while self.bytes and self.bytes + size > MOST_BYTES:
            self._drop_one()
        unread = _Unread(owner, size, abort)
        self._unread[unread] = None
        self._bytes[owner] += size
        try:
            yield
        finally:
            self._forget(unread)

    async def room(self, owner: Hashable) -> None:
        """Wait until the next response of this owner would take no room but that of others."""
        while not self._has_room(owner):
            if self._freed is None:
                self._freed = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._freed)

    def _has_room(self, owner: Hashable) -> bool:
        is_free = self.bytes + NEXT_BYTES <= MOST_BYTES or not self._bytes
        return is_free or self._bytes[owner] < max(self._bytes.values())

    def _drop_one(self) -> None:
        most = max(self._bytes.values())
        longest = next(each for each in self._unread if self._bytes[each.owner] == most)
        self._forget(longest)
        self._on_dropped()
        longest.abort()

    def _forget(self, unread: _Unread) -> None:
        if unread not in self._unread:  # it was given up
            return
        del self._unread[unread]
        self._bytes[unread.owner] -= unread.size
        if not self._bytes[unread.owner]:
            del self._bytes[unread.owner]
        if self._freed is not None:
            self._freed.set_result(None)
            self._freed = None


UNREAD_RESPONSES = web.AppKey("unread_responses", UnreadResponses)
# Whom the response to a request counts against; without it, the peer of the connection.
RESPONSE_OWNER = web.RequestKey("response_owner", Hashable)


def bytes_of(response: web.StreamResponse) -> int:
    """The memory that a response takes while it is sent; 0 for one that is made meanwhile."""
    body = response.body if isinstance(response, web.Response) else None
    if not isinstance(body, bytes):
        return 0
    # What is compressed is kept beside it.
    return len(body) * (2 if response.compression else 1)
