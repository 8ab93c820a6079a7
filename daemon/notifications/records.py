"""Recording of what became of a mail, while the database may be away for a moment."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from daemon.core.errors import DatabaseUnavailableError
from daemon.store.database import Database
from daemon.store.session import Connection

T = TypeVar("T")


class Records:
    """Writes outcomes; an outcome that cannot be recorded while the lease lasts is lost."""

    def __init__(self, database: Database, *, poll_seconds: float) -> None:
        self._database = database
        self._poll_seconds = poll_seconds

    async def write(
        self, change: Callable[[Connection], Awaitable[T]], *, lease_ends_at: float
    ) -> T:
        """
        Run `change` in a transaction, and again while the database is unavailable.

        `lease_ends_at` is a time on the event loop's clock. Raises DatabaseUnavailableError once
        the lease has ended.
        """
        while True:
            try:
                async with self._database.transaction() as db:
                    return await change(db)
            except DatabaseUnavailableError:
                if asyncio.get_running_loop().time() > lease_ends_at:
                    raise
            await asyncio.sleep(self._poll_seconds)
