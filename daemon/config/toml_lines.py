"""
On which line of a TOML text each key and each list element stands, which tomllib does not tell.

It reads only what tomllib has accepted, and so needs to find ends, not mistakes.
"""

import re
import tomllib
from collections.abc import Callable

KeyPath = tuple[str | int, ...]

_BLANK = re.compile(r"[ \t]*")
_GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY_PART = re.compile(r'"(?:\\.|[^"\\])*"|\'[^\']*\'|[A-Za-z0-9_-]+')
_SCALAR = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'  # up to two quotes may stand before the closing three
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'"
    r"|[^,\]}\n#]+",  # numbers, booleans, and dates, which may hold a blank
    re.DOTALL,
)


def lines_of(text: str) -> dict[KeyPath, int]:
    """
    Map each path, `("egress", "allow_ports", 1)`, to the line where it first stands.

    `text` must be valid TOML; lists and arrays of tables count from 0, lines from 1. Raises
    ValueError or IndexError where a later TOML has a syntax that is not known here.
    """
    scan = _Scan(text)
    scan.document()
    return scan.lines


class _Scan:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self.last: dict[KeyPath, int] = {}  # of each array of tables, the index now being filled

    def document(self) -> None:
        table: KeyPath = ()
        self.skip(_GAP)
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self.header()
            else:
                self.pair(table)
            self.skip(_GAP)

    def header(self) -> KeyPath:
        start = self.at
        brackets = 2 if self.text.startswith("[[", start) else 1
        self.at += brackets
        path = self.key((), start)
        if brackets == 2:
            self.last[path] = self.last.get(path, -1) + 1
            path = (*path, self.last[path])
            self.note(path, start)
        self.at += brackets
        return path

    def pair(self, table: KeyPath) -> None:
        path = self.key(table, self.at)
        self.at += 1  # the equals sign
        self.skip(_BLANK)
        self.value(path)

    def key(self, table: KeyPath, start: int) -> KeyPath:
        """Read a dotted key, and note it and the tables that it passes through."""
        path = table
        while True:
            self.skip(_BLANK)
            path = (*path, self.part())
            self.note(path, start)
            self.skip(_BLANK)
            if self.text[self.at] != ".":
                return path
            self.at += 1
            if path in self.last:
                path = (*path, self.last[path])

    def part(self) -> str:
        written = self.skip(_KEY_PART)
        if written[0] not in "\"'":
            return written
        (key,) = tomllib.loads(f"{written} = 0")
        return key

    def value(self, path: KeyPath) -> None:
        opening = self.text[self.at]
        if opening == "[":
            self.items("]", lambda index: self.element((*path, index)))
        elif opening == "{":
            self.items("}", lambda _: self.pair(path))
        else:
            self.skip(_SCALAR)

    def element(self, path: KeyPath) -> None:
        self.note(path, self.at)
        self.value(path)

    def items(self, closing: str, read: Callable[[int], None]) -> None:
        """Read what stands between brackets and commas; `read` is given each item's number."""
        self.at += 1
        self.skip(_GAP)
        index = 0
        while self.text[self.at] != closing:
            read(index)
            index += 1
            self.skip(_GAP)
            if self.text[self.at] == ",":
                self.at += 1
                self.skip(_GAP)
        self.at += 1

    def note(self, path: KeyPath, start: int) -> None:
        self.lines.setdefault(path, self.text.count("\n", 0, start) + 1)

    def skip(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise ValueError("tomllib accepts what is unknown here")
        self.at = found.end()
        return found[0]
