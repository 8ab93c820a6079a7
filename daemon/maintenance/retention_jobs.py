"""What is deleted for its age, table by table."""

from datetime import timedelta
from typing import TypeAlias
from uuid import UUID

import asyncpg

from daemon.store import retention
from daemon.store.retention import BEGINNING, Place, Shelf
from daemon.store.session import Connection

# Notices, and replays that are over: as long as anybody may want to look back.
RECORDS_AGE = timedelta(days=90)


BATCHES_PER_LOOK = 2


# What had to stay when it was passed, or was inserted with an old time, is found by these.
ROUNDS_PER_WHOLE_ROUND = 60


class Clearing:
    """
    A table of millions: what may go is looked for, and then deleted bit by bit.

    In a round, `begin`, and then `step` until it is `over`.
    """

    def __init__(self, shelf: Shelf, *, older_than: timedelta) -> None:
        self.table = shelf.table
        self.over = True
        self._shelf = shelf
        self._older_than = older_than
        self._rounds = 0
        self._found: list[UUID] = []
        self._next: Place | None = None
        # From where on this round looks; up to where the last one has cleared that was finished,
        # and this one when it is.
        self._floor = self._cleared = BEGINNING
        self._clears: str | None = None

    def begin(self) -> None:
        """Begin another round, or go on with one that was left while there was more to delete."""
        self.over = False
        if self._next is not None:
            return
        whole = self._rounds % ROUNDS_PER_WHOLE_ROUND == 0
        self._rounds += 1
        self._floor = BEGINNING if whole else self._cleared
        self._next, self._clears = Place(at=self._floor), None

    async def step(self, db: Connection, *, limit: int) -> int | None:
        """Delete some and say how many, or find some more: None."""
        deleted = None
        if self._found:
            deleted = await retention.delete(db, self._shelf, self._found[:limit])
            self._found = self._found[limit:]
        elif self._next is not None:
            await self._look(db, self._next, limit=limit * BATCHES_PER_LOOK)
        self.over = not self._found and self._next is None
        return deleted

    async def _look(self, db: Connection, place: Place, *, limit: int) -> None:
        try:
            looked = await retention.find(
                db, self._shelf, place, floor=self._floor, older_than=self._older_than, limit=limit
            )
        except asyncpg.QueryCanceledError:
            self._next = None  # begun anew: in the lanes before it, more is old by then
            raise
        self._clears = self._clears or looked.floor
        self._found, self._next = looked.ids, looked.next
        if self._next is None:
            self._cleared = self._clears


class Weeding:
    """A table of some thousand records, of which the oldest go; a round is as above."""

    def __init__(self, table: str, statement: str) -> None:
        self.table = table
        self.over = True
        self._statement = statement

    def begin(self) -> None:
        self.over = False

    async def step(self, db: Connection, *, limit: int) -> int:
        deleted = await retention.delete_oldest(
            db, self._statement, older_than=RECORDS_AGE, limit=limit
        )
        self.over = deleted < limit
        return deleted


Chore: TypeAlias = Clearing | Weeding
