"""
The line number of each key and list element in a TOML text, which tomllib does not report.

The scanner reads only text that tomllib has accepted: it finds where tokens end, not mistakes.
"""

import re
import tomllib
from collections.abc import Callable

KeyPath = tuple[str | int, ...]

_BLANK = re.compile(r"[ \t]*")
_GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY_PART = re.compile(r'"(?:\\.|[^"\\])*"|\'[^\']*\'|[A-Za-z0-9_-]+')
_SCALAR = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'  # up to two quotes may precede the closing three
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'"
    r"|[^,\]}\n#]+",  # numbers, booleans, and dates, which may contain a space
    re.DOTALL,
)


def lines_of(text: str) -> dict[KeyPath, int]:
    """
    Map each key path, like `("egress", "allow_ports", 1)`, to the line of its first occurrence.

    `text` must be valid TOML; lists and arrays of tables count from 0, lines from 1. Raises
    ValueError or IndexError for syntax of a later TOML version.
    """
    scanner = _Scanner(text)
    scanner.read_document()
    return scanner.lines


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self.lines: dict[KeyPath, int] = {}
        # The index of the current table in each array of tables.
        self._array_index: dict[KeyPath, int] = {}

    def read_document(self) -> None:
        """Fill `lines`. Raises ValueError or IndexError, as `lines_of` does."""
        table: KeyPath = ()
        self._skip(_GAP)
        while self._position < len(self._text):
            if self._text[self._position] == "[":
                table = self._read_table_header()
            else:
                self._read_pair(table)
            self._skip(_GAP)

    def _read_table_header(self) -> KeyPath:
        start = self._position
        brackets = 2 if self._text.startswith("[[", start) else 1
        self._position += brackets
        path = self._read_key((), start)
        if brackets == 2:
            self._array_index[path] = self._array_index.get(path, -1) + 1
            path = (*path, self._array_index[path])
            self._record(path, start)
        self._position += brackets
        return path

    def _read_pair(self, table: KeyPath) -> None:
        path = self._read_key(table, self._position)
        self._position += 1  # the equals sign
        self._skip(_BLANK)
        self._read_value(path)

    def _read_key(self, table: KeyPath, start: int) -> KeyPath:
        """Read a dotted key; record its line for the key and for the tables on its path."""
        path = table
        while True:
            self._skip(_BLANK)
            path = (*path, self._read_key_part())
            self._record(path, start)
            self._skip(_BLANK)
            if self._text[self._position] != ".":
                return path
            self._position += 1
            if path in self._array_index:
                path = (*path, self._array_index[path])

    def _read_key_part(self) -> str:
        token = self._skip(_KEY_PART)
        if token[0] not in "\"'":
            return token
        (key,) = tomllib.loads(f"{token} = 0")
        return key

    def _read_value(self, path: KeyPath) -> None:
        opening = self._text[self._position]
        if opening == "[":
            self._read_items("]", lambda index: self._read_element((*path, index)))
        elif opening == "{":
            self._read_items("}", lambda _: self._read_pair(path))
        else:
            self._skip(_SCALAR)

    def _read_element(self, path: KeyPath) -> None:
        self._record(path, self._position)
        self._read_value(path)

    def _read_items(self, closing: str, read: Callable[[int], None]) -> None:
        """Read comma-separated items up to `closing`; `read` gets the index of each."""
        self._position += 1
        self._skip(_GAP)
        index = 0
        while self._text[self._position] != closing:
            read(index)
            index += 1
            self._skip(_GAP)
            if self._text[self._position] == ",":
                self._position += 1
                self._skip(_GAP)
        self._position += 1

    def _record(self, path: KeyPath, start: int) -> None:
        self.lines.setdefault(path, self._text.count("\n", 0, start) + 1)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._position)
        if found is None:
            raise ValueError("tomllib accepts syntax that is not known here")
        self._position = found.end()
        return found[0]
