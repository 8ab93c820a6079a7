"""
Warnings of subscriptions, kept by what they were made from: a list shows thousands of webhooks.

Compiling one takes as long as showing ten. The rule: only digests and short warnings are kept.
"""

from collections.abc import Callable, Iterable
from hashlib import blake2b

MOST_KEPT = 16_384
LONGEST_KEPT = 500  # characters of a subscription's warnings


class KeptWarnings:
    """The warnings of the subscriptions that were shown last."""

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[str, ...]] = {}

    def get(self, source: object, make: Callable[[], Iterable[str]]) -> tuple[str, ...]:
        """Return what `make` makes from `source`, whose `repr` has all that it depends on."""
        key = blake2b(repr(source).encode(errors="surrogatepass"), digest_size=16).digest()
        warnings = self._kept.pop(key, None)
        if warnings is None:
            warnings = tuple(make())
            if sum(map(len, warnings)) > LONGEST_KEPT:
                return warnings
        self._kept[key] = warnings
        if len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]  # the one that was shown longest ago
        return warnings
