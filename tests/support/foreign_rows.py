"""Rows that another transaction has inserted with the ids of attempts, and not committed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import asyncpg

from tests.support.daemons import until
from tests.support.receiver import Received, Receiver, Reply

OWN_ID = "x-penguinmails-delivery-id"


FOREIGN_ROW = """
    -- In the partition of the result, if there are any.
    INSERT INTO webhook_deliveries (id, webhook_id, event_id, status, attempted_at, error_message)
    VALUES ($1, $2, $3, 'success', now(), 'foreign')
"""


class Held:
    """The receiver's responses under /held wait until they are released."""

    def __init__(self, receiver: Receiver, *, status: int = 200) -> None:
        self._receiver = receiver
        self._status = status
        self._released = asyncio.Event()
        receiver.answer = self._answer

    def release(self) -> None:
        self._released.set()

    async def ids(self, count: int) -> list[UUID]:
        """The ids of the first attempts, once so many have come."""
        await until(lambda: len(self._requests()) >= count)
        return [UUID(each.headers[OWN_ID]) for each in self._requests()]

    def _requests(self) -> list[Received]:
        return [each for each in self._receiver.received if each.path.startswith("/held")]

    def _answer(self, request: Received) -> Reply:
        if not request.path.startswith("/held"):
            return Reply()
        first = len(self._receiver.at(request.path)) == 1
        return Reply(self._status if first else 200, when=self._released)


@asynccontextmanager
async def foreign_rows(
    database: str, webhook: UUID, ids: Sequence[UUID], *, held: Held | None = None
) -> AsyncIterator[asyncpg.Connection]:
    """A transaction that has inserted rows with these ids, and is open; then `held` is released."""
    other = await asyncpg.connect(database)
    try:
        await other.execute("BEGIN")
        try:
            await other.executemany(FOREIGN_ROW, [(each, webhook, uuid4()) for each in ids])
        finally:
            if held is not None:
                held.release()
        yield other
    finally:
        await other.close()
