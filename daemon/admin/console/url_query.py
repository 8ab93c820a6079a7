"""The query of a page's URL, in which its filters live."""

from collections.abc import Mapping
from urllib.parse import urlencode


def with_query(query: Mapping[str, str], **changes: object) -> str:
    """
    `?` and the query with these parameters changed; None and "" remove one. Empty for none.

    A name of Python's own is written with an underscore: `from_`.
    """
    named = {name.rstrip("_"): value for name, value in changes.items()}
    left = {name: value for name, value in (dict(query) | named).items() if value not in {None, ""}}
    return f"?{urlencode(left)}" if left else ""
