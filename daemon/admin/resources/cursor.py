"""Cursors of the API's lists, converted to and from those by which the store pages."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from daemon.admin import schemas
from daemon.admin.api.problems import Problem
from daemon.core.model.cursor import FIRST_ID, Cursor


async def page_start(
    given: schemas.Cursor | None,
    cursor_of_row: Callable[[UUID], Awaitable[Cursor | None]],
    *,
    absent: str,
) -> Cursor:
    """
    Where a page begins; `cursor_of_row` finds the cursor of a row by its id.

    Raises Problem (404), which says `absent`, when there is no such row.
    """
    if given is None:
        return Cursor()
    if given.at is not None:
        # A row of exactly this time is not older than it.
        return Cursor(given.at, given.id or FIRST_ID)
    assert given.id is not None
    cursor = await cursor_of_row(given.id)
    if cursor is None:
        raise Problem(404, absent)
    return cursor


def next_cursor(following: Cursor | None) -> str | None:
    """The cursor of the next page as text; None after the last page."""
    return None if following is None else str(schemas.Cursor(following.at, following.id))
