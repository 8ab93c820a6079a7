"""Keys by which replays are compared: texts of any length as one of a fixed length."""

import hashlib
from collections.abc import Sequence


def hashed(*parts: str | None) -> str:
    """The same for the same parts only; they may hold any character."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def subscription_key(types: Sequence[str] | None, filters: str | None) -> str:
    """The key of a webhook's types and filters, its present `event_types` and `event_filters`."""
    return hashed(filters, *sorted(set(types or ())))
