"""
Times in forms: browsers send them without a time zone, and the pages say that they are in UTC.

A link may also have a whole timestamp.
"""

import re

LOCAL = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?")


def as_timestamp(text: str) -> str:
    """A field's time as the API reads it; other text as it is."""
    found = LOCAL.fullmatch(text)
    if found is None:
        return text
    return f"{text}Z" if found[1] else f"{text}:00Z"


def as_field(text: str) -> str:
    """A timestamp in UTC as the value of a field, to the minute; empty for any other text."""
    found = LOCAL.match(text)
    is_utc = text.endswith(("Z", "+00:00")) or (found is not None and found.end() == len(text))
    return found[0][:16].replace(" ", "T") if found is not None and is_utc else ""
