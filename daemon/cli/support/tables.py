"""Tables of plain text on a terminal or in a pipe: aligned columns, one line for each row."""

from collections.abc import Sequence
from datetime import datetime


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align all columns but the last; unprintable characters are escaped."""
    from daemon.core.unprintable import escape

    shown = [[escape(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)][:-1]
    return [
        "  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in shown
    ]


def time_text(at: datetime | None) -> str:
    """`2025-11-25 14:30:00Z`, or a dash."""
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M:%S}Z"
