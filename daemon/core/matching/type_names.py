"""
Names and wildcards of event types: one judge for what the API takes and the application wrote.

The API takes only what is well-formed. The application may write any name, and an event may have
any type: a malformed name matches the events that have exactly this type, and no others.
"""

import re
from collections.abc import Iterable

from daemon.core.matching.limits import LONGEST_TEXT, MOST_TYPES
from daemon.core.wire.json_value import parse_json

LONGEST_NAME = 100
# Valid in ECMA 262 too.
WELL_FORMED = r"^([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(\.\*)?|\*)$"

# Not `$`: that also matches before a final newline.
_NAME = re.compile(WELL_FORMED.removesuffix("$") + r"\Z")


def reason_against(name: str) -> str | None:
    """Return what is wrong with a name; None if it is a type, `email.*` or `*`."""
    if len(name) <= LONGEST_NAME and _NAME.match(name) is not None:
        return None
    return "is neither an event type, such as email.opened, nor a wildcard, such as email.*"


def listed_types(
    event_types: Iterable[object] | None, event_filters: str | None
) -> dict[str, list[str]]:
    """
    Return the names that a webhook lists, by the API's member; `event_filters` is JSON text.

    At most as many of each as may be used.
    """
    in_filters: object = None
    if event_filters is not None and len(event_filters) <= LONGEST_TEXT:
        try:
            filters = parse_json(event_filters)
        except ValueError:
            filters = None
        in_filters = filters.get("event_types") if isinstance(filters, dict) else None
    return {
        "eventTypes": strings_in(event_types or ())[:MOST_TYPES],
        "eventFilters.event_types": [
            name
            for name in (in_filters if isinstance(in_filters, list) else [])[:MOST_TYPES]
            if isinstance(name, str)
        ],
    }


def strings_in(values: Iterable[object]) -> list[str]:
    """Flatten an array of PostgreSQL, which may contain NULLs and nested arrays."""
    found: list[str] = []
    for value in values:
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += strings_in(value)
    return found
