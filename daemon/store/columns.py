"""Rows as the column arrays that `unnest` takes."""

from collections.abc import Iterable, Sequence


def columns(rows: Iterable[Sequence[object]]) -> list[tuple[object, ...]]:
    """One tuple for each column; `rows` must not be empty, and all of one length."""
    return list(zip(*rows, strict=True))
