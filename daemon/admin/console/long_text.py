"""
The part of a long text that a page shows.

The rule: a page stays small however long a stored text is. Each unprintable character becomes some
forty of markup, so that few of them are shown.
"""

from daemon.core.unprintable import UNPRINTABLE

MOST_CHARACTERS = 16 * 1024
MOST_MARKS = 1_000


def first_part(text: str) -> str:
    """The text, or its beginning if it is long."""
    part = text[:MOST_CHARACTERS]
    for count, found in enumerate(UNPRINTABLE.finditer(part)):
        if count == MOST_MARKS:
            return part[: found.start()]
    return part
