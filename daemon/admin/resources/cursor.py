"""Cursors of lists: where the next page begins, as one string."""

from daemon.admin import schemas
from daemon.core.model.cursor import FIRST_ID, Cursor


def _place(before: schemas.Before | None) -> Cursor:
    """What is of the very moment is not older than it."""
    if before is None or before.at is None:
        return Cursor()
    return Cursor(before.at, before.id or FIRST_ID)


def _cursor(place: Cursor | None) -> str | None:
    return None if place is None else str(schemas.Before(place.at, place.id))
