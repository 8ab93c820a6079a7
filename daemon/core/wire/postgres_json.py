"""
JSON text of PostgreSQL, printed as JavaScript prints it, in pieces and without a tree.

Parsed, a few megabytes of brackets take hundreds of megabytes, in calls of seconds that let no
other thread run. The rule: a call takes some milliseconds for a piece, and little more is kept than
the text.

PostgreSQL prints a jsonb value with a space after each comma and colon, strings with the escapes
that JavaScript has, numbers without exponents, and keys ordered by their length. So it is printed
by leaving spaces out, spelling numbers, and, in few objects, moving members.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from daemon.core.wire.javascript_json import is_array_index
from daemon.core.wire.javascript_number import to_javascript_number

PIECE = 64 * 1024  # characters

STRING = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")')
END_OF_STRING = re.compile(r'[^"\\]*(?:\\.[^"\\]*)*"')
END_OF_SCALAR = re.compile(r"[-+.0-9A-Za-z]*")
NO_STRING = "\0"  # no JSON text has this character

# Numbers that JavaScript may print with other digits: fractions, and integers beyond 2^53.
ODD_NUMBER = re.compile(r"-?[0-9]+\.[0-9]+|-?[0-9]{16,}|-0\b")
# Python prints these doubles as JavaScript does, but for the end of 1.0.
SHORT_FROM, SHORT_UNTIL = 1e-4, 1e15

# What PostgreSQL does not print.
EXPONENT = re.compile(r"[0-9][eE]")
OTHER_ESCAPE = re.compile(r"\\(?:/|u(?!00(?:0[0-7bef]|1[0-9a-f])))")
OTHER_SPACES = re.compile(r"[ \t\n\r]")

INDEX_KEY = re.compile(r'"(?:0|[1-9][0-9]{0,9})": ')
TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"(: )?|[\[\]{}]')
SEPARATOR = ", "


def print_in_pieces(text: str) -> bytes | None:
    """
    Return `JSON.stringify(JSON.parse(text))` as UTF-8, as `to_javascript_json` does.

    `text` must be JSON. None if it is spelt as PostgreSQL does not spell it.
    """
    if INDEX_KEY.search(text):
        text = _with_indexes_first(text)
    printed: list[bytes] = []
    for piece in _pieces(text):
        one = _print(piece)
        if one is None:
            return None
        printed.append(one)
    return b"".join(printed)


def _pieces(text: str) -> Iterator[str]:
    """Yield the text in pieces; none ends within a string or a number, or before a space."""
    start = 0
    while start < len(text):
        end = start + PIECE
        if end < len(text):
            end = _end_of_piece(text, start, end)
        yield text[start:end]
        start = end


def _end_of_piece(text: str, start: int, end: int) -> int:
    while text[end - 1] == "\\":
        end += 1
    quotes = text[start:end].replace("\\\\", "").replace('\\"', "").count('"')
    if quotes % 2 and (string := END_OF_STRING.match(text, end)):
        end = string.end()
    elif scalar := END_OF_SCALAR.match(text, end):
        end = scalar.end()
    return end + 1 if text[end - 1] in ",:" else end


def _print(piece: str) -> bytes | None:
    parts = STRING.split(piece)
    others = NO_STRING.join(parts[::2]).replace(", ", ",").replace(": ", ":")
    if OTHER_SPACES.search(others) or EXPONENT.search(others):
        return None
    if "\\" in piece and OTHER_ESCAPE.search(piece.replace("\\\\", "")):
        return None
    parts[::2] = ODD_NUMBER.sub(_spell, others).split(NO_STRING)
    return "".join(parts).encode()


def _spell(number: re.Match[str]) -> str:
    token = number[0]
    if "." in token and SHORT_FROM <= abs(double := float(token)) < SHORT_UNTIL:
        return repr(double).removesuffix(".0")
    return to_javascript_number(token)


@dataclass(slots=True)
class _Object:
    """An object whose end is not reached: where its members begin, and which have index keys."""

    opened_at: int
    members: list[int] = field(default_factory=list)
    indexes: dict[int, int] = field(default_factory=dict)  # by the number of the member
    moves: bool = False  # an index key comes after another key


@dataclass(frozen=True, slots=True)
class _Moved:
    """An object whose members change places: where they begin and end, in their new order."""

    members: Sequence[tuple[int, int]]
    closed_at: int


def _with_indexes_first(text: str) -> str:
    """Move the members whose keys are array indexes to the beginning of their objects."""
    moved: dict[int, _Moved] = {}
    outer: list[_Object | None] = []  # None for an array
    for token in TOKEN.finditer(text):
        match text[token.start()]:
            case "{":
                outer.append(_Object(token.start()))
            case "[":
                outer.append(None)
            case "]":
                outer.pop()
            case "}":
                closed = outer.pop()
                if closed is not None and closed.moves:
                    moved[closed.opened_at] = _moved(closed, token.start())
            case _:
                if token[1] and outer and (within := outer[-1]) is not None:
                    _note_member(within, token.start(), token[0][1:-3])
    return "".join(_rearranged(text, moved)) if moved else text


def _note_member(within: _Object, start: int, key: str) -> None:
    if is_array_index(key):
        within.moves |= len(within.indexes) < len(within.members)
        within.indexes[len(within.members)] = int(key)
    within.members.append(start)


def _moved(closed: _Object, closed_at: int) -> _Moved:
    ends = [each - len(SEPARATOR) for each in closed.members[1:]] + [closed_at]
    order = sorted(closed.indexes, key=closed.indexes.__getitem__)
    order += [each for each in range(len(ends)) if each not in closed.indexes]
    return _Moved([(closed.members[each], ends[each]) for each in order], closed_at)


def _rearranged(text: str, moved: dict[int, _Moved]) -> Iterator[str]:
    opened = sorted(moved)
    left: list[tuple[int, int] | str] = [(0, len(text))]  # the last comes first
    while left:
        part = left.pop()
        if isinstance(part, str):
            yield part
            continue
        start, end = part
        place = bisect_left(opened, start)
        if place == len(opened) or opened[place] >= end:
            yield text[start:end]
            continue
        one = moved[opened[place]]
        yield text[start : opened[place] + 1]
        left.append((one.closed_at, end))
        for number, member in enumerate(reversed(one.members)):
            left += [SEPARATOR, member] if number else [member]
