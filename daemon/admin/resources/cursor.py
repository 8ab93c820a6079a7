"""Cursors of lists: where the next page begins, as one string."""

from daemon.admin import schemas
from daemon.store.page import FIRST_ID, Place


def _place(before: schemas.Before | None) -> Place:
    """What is of the very moment is not older than it."""
    if before is None or before.at is None:
        return Place()
    return Place(before.at, before.id or FIRST_ID)


def _cursor(place: Place | None) -> str | None:
    return None if place is None else str(schemas.Before(place.at, place.id))
