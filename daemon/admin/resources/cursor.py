"""Cursors of lists, converted to and from the places by which the store pages."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from daemon.admin.schemas import Cursor
from daemon.store.page import FIRST_ID, Place


async def page_start(cursor: Cursor | None, place_of: Callable[[UUID], Awaitable[Place]]) -> Place:
    """
    The place where a page begins; `place_of` finds the place of a row by its id.

    Raises whatever `place_of` raises.
    """
    if cursor is None:
        return Place()
    if cursor.at is not None:
        # A row of exactly this time is not older than it.
        return Place(cursor.at, cursor.id or FIRST_ID)
    assert cursor.id is not None
    return await place_of(cursor.id)


def next_cursor(place: Place | None) -> str | None:
    """The cursor of the next page, which begins at `place`; None after the last page."""
    return None if place is None else str(Cursor(place.at, place.id))
