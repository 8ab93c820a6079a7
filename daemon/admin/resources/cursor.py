"""Cursors of the API's lists, converted to and from those by which the store pages."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from daemon.admin import schemas
from daemon.core.model.cursor import FIRST_ID, Cursor


async def page_start(
    given: schemas.Cursor | None, cursor_of_row: Callable[[UUID], Awaitable[Cursor]]
) -> Cursor:
    """
    Where a page begins; `cursor_of_row` finds the cursor of a row by its id.

    Raises what `cursor_of_row` raises.
    """
    if given is None:
        return Cursor()
    if given.at is not None:
        # A row of exactly this time is not older than it.
        return Cursor(given.at, given.id or FIRST_ID)
    assert given.id is not None
    return await cursor_of_row(given.id)


def next_cursor(following: Cursor | None) -> str | None:
    """The cursor of the next page as text; None after the last page."""
    return None if following is None else str(schemas.Cursor(following.at, following.id))
