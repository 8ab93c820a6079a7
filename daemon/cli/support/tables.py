"""Tables of plain text on a terminal or in a pipe: aligned columns, one row below the other."""

import shutil
import sys
import textwrap
from collections.abc import Sequence
from datetime import datetime

GAP = "  "
INDENT = "    "


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align all columns but the last; unprintable characters are escaped."""
    return _aligned(_escaped(rows))


def fitted_table(rows: Sequence[Sequence[str]], width: int | None = None) -> list[str]:
    """
    As `table`, but within `width` characters, by default those of the terminal.

    Columns for which a line has no room stand on further lines of their row, indented. The default
    is no limit where stdout is no terminal, so that programs get one line for each row.
    """
    width = _terminal_width() if width is None else width
    shown = _escaped(rows)
    if width is None or not shown:
        return _aligned(shown)
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    groups = _groups(widths, width)
    blocks = [_aligned([row[group] for row in shown]) for group in groups]
    return [
        line
        for number in range(len(shown))
        for index, block in enumerate(blocks)
        if block[number] or index == 0
        for line in _wrapped(block[number], width, INDENT if index else "")
    ]


def time_text(at: datetime | None) -> str:
    """`2025-11-25 14:30:00Z`, or a dash."""
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M:%S}Z"


def _escaped(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    from daemon.core.unprintable import escape

    return [[escape(cell) for cell in row] for row in rows]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    return [
        GAP.join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in rows
    ]


def _groups(widths: Sequence[int], width: int) -> list[slice]:
    """The columns of each line of a row: as many as fit in `width`, and one at the least."""
    groups, start, used = [], 0, 0
    for column, needed in enumerate(widths):
        if column > start and used + len(GAP) + needed > width:
            groups.append(slice(start, column))
            start, used = column, len(INDENT) + needed
        else:
            used += needed + (len(GAP) if column > start else 0)
    return [*groups, slice(start, len(widths))]


def _wrapped(line: str, width: int, indent: str) -> list[str]:
    """The line itself where it fits, so that columns stay aligned; else cut between words."""
    if len(indent) + len(line) <= width:
        return [indent + line]
    return textwrap.wrap(
        line,
        width,
        initial_indent=indent,
        subsequent_indent=indent or INDENT,
        break_on_hyphens=False,  # ids are to be copied
    )


def _terminal_width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
