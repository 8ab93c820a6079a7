"""
An event's data as conditions see it: the values at each path, found once for all webhooks.

The rule: no search holds the event loop for long, however large the data. Searches are generators
that yield after every few hundred values; who is in no hurry exhausts them.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from daemon.core.matching.paths import Path, elements, members_of
from daemon.core.wire.json_value import Scalar

# A scalar, or a tuple of a number for its kind and a boolean, or the digits of a large number.
ComparisonKey = object

AT_ONCE = 500  # values
Number = int | float | Decimal
LARGEST_EXACT = 2**53  # beyond it every double is an integer


class EventData:
    """Data as `parse_json` returns it."""

    def __init__(self, data: object) -> None:
        self.data = data
        self._keys: dict[Path, set[ComparisonKey]] = {}

    def search(self, path: Path) -> Iterator[None]:
        """Find the values at a path, for `keys_at`."""
        if path in self._keys:
            return
        reached: list[object] = [self.data]
        for segment in path:
            found: list[object] = []
            for piece in pieces(reached):
                found += members_of(objects_among(piece), segment)
                yield
            reached = found
        keys: set[ComparisonKey] = set()
        for piece in pieces(reached):
            keys.update(keys_among(piece))
            yield
        self._keys[path] = keys

    def keys_at(self, path: Path) -> set[ComparisonKey]:
        """Return the keys of the scalars at a path."""
        for _ in self.search(path):
            pass
        return self._keys[path]


def pieces(values: Iterable[object]) -> Iterator[list[object]]:
    """Yield the values in pieces, with the elements of an array in place of the array."""
    piece: list[object] = []
    for value in elements(values):
        piece.append(value)
        if len(piece) == AT_ONCE:
            yield piece
            piece = []
    if piece:
        yield piece


def objects_among(values: Iterable[object]) -> list[dict[str, object]]:
    """Return those of the values that are objects."""
    return [value for value in values if isinstance(value, dict)]


def keys_among(values: Iterable[object]) -> Iterator[ComparisonKey]:
    """Yield the keys of those of the values that are scalars."""
    for value in values:
        if value is None or isinstance(value, Scalar):
            yield comparison_key(value)


def comparison_key(value: object) -> ComparisonKey:
    """
    Return a key that is equal for equal JSON scalars: 1 equals 1.0, but not true.

    Python's hash of a number is its remainder by 2**61 - 1, so that a set of chosen ones would take
    a time that grows with the square of their number. Those of texts are random.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return 1, value  # in Python, True == 1
    if isinstance(value, Number) and not -LARGEST_EXACT <= value <= LARGEST_EXACT:
        return 2, _digits(value)
    return value


def value_of(key: ComparisonKey) -> object:
    """Return the scalar of a key; of a large number, its digits."""
    return key[1] if isinstance(key, tuple) else key


def _digits(value: Number) -> str:
    """A number as it is written without an exponent, and without zeros after its last place."""
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return str(int(value))


def comparison_keys(values: Iterable[object]) -> frozenset[ComparisonKey]:
    """Return the keys of a condition's values."""
    return frozenset(map(comparison_key, values))
