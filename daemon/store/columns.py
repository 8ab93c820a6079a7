"""
Rows turned into the arrays that `unnest` takes, one for each column.

asyncpg looks at each element of an array several times. Where hundreds of them are passed for each
transaction, an array is passed as PostgreSQL's text for it, and cast: that costs half as much in
all. The cast must be where it is evaluated once: in `unnest` or a subquery, never in a condition.
"""

from collections.abc import Iterable, Sequence


def columns(rows: Iterable[Sequence[object]]) -> list[tuple[object, ...]]:
    """Return one tuple for each column; `rows` must not be empty, and all of one length."""
    return list(zip(*rows, strict=True))


def text_columns(rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the text of an array for each column; `rows` as those of `columns`."""
    return [array_text(map(str, column)) for column in zip(*rows, strict=True)]


def array_text(elements: Iterable[str]) -> str:
    """Return the text of an array; none of the elements is empty, or has quotes or backslashes."""
    quoted = '","'.join(elements)
    return f'{{"{quoted}"}}' if quoted else "{}"
