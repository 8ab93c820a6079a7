"""
Has secrets tried again that could not be opened, once the keys may have changed.

Their marks are cleared in pages, around rows that other transactions lock; those are returned to.
"""

from uuid import UUID

from daemon.core.model.ids import WebhookId
from daemon.store import secrets
from daemon.store.database import Database

FIRST_ID = WebhookId(UUID(int=0))
PAGE = 100


class Unmarking:
    """One pass over the marked webhooks, from each `begin` on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._after: WebhookId | None = None
        self._locked: set[WebhookId] = set()

    def begin(self) -> None:
        """Begin a new pass."""
        self._after = FIRST_ID
        self._locked.clear()

    async def run_once(self) -> bool:
        """Clear the marks of one page, then of rows that were locked; False at the pass's end."""
        if self._after is None:
            if self._locked:
                await self._clear(list(self._locked)[:PAGE])
            return False
        async with self._database.connection() as db:
            page = await secrets.find_marked(db, after=self._after, limit=PAGE)
        await self._clear(page)
        self._after = page[-1] if len(page) == PAGE else None
        return self._after is not None

    async def _clear(self, page: list[WebhookId]) -> None:
        async with self._database.transaction() as db:
            locked = await secrets.clear_marks(db, page)
        self._locked = self._locked - set(page) | locked
