"""
Compares the name of this installation with the one that the database has.

The rule: a database without a name gets that of the first daemon that starts. No running daemon
writes one: while a dump is being restored, the name may be missing for a moment.
"""

import asyncio
from collections.abc import Callable

from daemon.store import installation
from daemon.store.database import Database

INTERVAL_SECONDS = 5.0
WAITING_SECONDS = 1.0  # until the database is adopted


def foreign_sentence(own_name: str, found: str | None) -> str:
    """The sentence that the database belongs to another installation, and the remedy."""
    owner = "no installation" if found is None else f'the installation "{found}"'
    return (
        f'the database belongs to {owner}, and installation.name is "{own_name}": nothing is sent'
        " until `webhookd adopt`"
    )


class InstallationGuard:
    """
    The loop, which runs as well while the daemon does nothing else.

    `reason` is the sentence that says what is wrong, None if the database is that of `own_name`. It
    calls `on_change` when the database has become that, or is it no more.
    """

    name = "installation_guard"

    def __init__(self, database: Database, own_name: str, *, on_change: Callable[[], None]) -> None:
        self.wake = asyncio.Event()
        self.own_name = own_name
        self.reason: str | None = None
        self._database = database
        self._on_change = on_change

    async def begin(self) -> None:
        """Make the database ours, if it has no owner yet. Raises DatabaseUnavailableError."""
        async with self._database.connection() as db:
            found = await installation.take(db, self.own_name)
        self.reason = self._reason(found)

    async def run_once(self) -> float:
        async with self._database.connection() as db:
            found = await installation.name_of(db)
        was_ours, self.reason = self.reason is None, self._reason(found)
        if was_ours is (self.reason is None):
            return INTERVAL_SECONDS if self.reason is None else WAITING_SECONDS
        self._on_change()
        return 0.0

    def _reason(self, found: str | None) -> str | None:
        return None if found == self.own_name else foreign_sentence(self.own_name, found)
