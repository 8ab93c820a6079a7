"""Rows turned into the arrays that `unnest` takes, one for each column."""

from collections.abc import Iterable, Sequence


def columns(rows: Iterable[Sequence[object]]) -> list[tuple[object, ...]]:
    """Return one tuple for each column; `rows` must not be empty, and all of one length."""
    return list(zip(*rows, strict=True))
