"""
JSON text read to any depth, with the leaves left to the caller: nothing is lost on the way in.

The parsers that are written in C give up at some depth, and turn long numbers into doubles. This
one is for the rare text that needs neither to happen; it keeps its own stack and never recurses.
"""

import json
import re
from collections.abc import Callable

Tree = dict[str, "Tree"] | list["Tree"] | object

# RFC 8259; group 1 is a leaf (string, number, literal), group 2 a sign of structure.
TOKEN = re.compile(
    r"""[ \t\n\r]*(?:
    (
        "[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"
      | -?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?
      | true | false | null
    ) | ([\[\]{},:]) | \Z )""",
    re.VERBOSE,
)

CLOSES = {"{": "}", "[": "]"}


def read(text: str, leaf: Callable[[str], object]) -> Tree:
    """
    The value of JSON `text`: dicts and lists, with `leaf(token)` for each scalar as it is written.

    Of duplicate keys the last value wins, at the place of the first, as in Python and JavaScript.
    Raises ValueError when `text` is not JSON.
    """
    tokens = _Tokens(text)
    opened: list[tuple[dict[str, Tree], str] | tuple[list[Tree], None]] = []
    while True:
        token, is_leaf = tokens.take()
        value: Tree
        if is_leaf:
            value = leaf(token)
        elif token not in CLOSES:
            raise tokens.unexpected()
        elif tokens.take_if(CLOSES[token]):
            value = {} if token == "{" else []
        else:
            opened.append(({}, tokens.key()) if token == "{" else ([], None))
            continue
        while opened:
            container = _put(opened[-1], value)
            if tokens.take_if(","):
                if isinstance(container, dict):
                    opened[-1] = (container, tokens.key())
                break
            tokens.expect("}" if isinstance(container, dict) else "]")
            opened.pop()
            value = container
        else:
            tokens.expect("")
            return value


def unquoted(token: str) -> str:
    """The string that a JSON string token stands for; lone surrogates stay as they are."""
    return token[1:-1] if "\\" not in token else str(json.loads(token))


def _put(
    place: tuple[dict[str, Tree], str] | tuple[list[Tree], None], value: Tree
) -> dict[str, Tree] | list[Tree]:
    if place[1] is None:
        place[0].append(value)
    else:
        place[0][place[1]] = value
    return place[0]


class _Tokens:
    """The tokens of a text, one at a time; an empty one is the end."""

    __slots__ = ("_at", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def take(self) -> tuple[str, bool]:
        """The next token, and whether it is a leaf."""
        found = TOKEN.match(self._text, self._at)
        if found is None:
            raise self.unexpected()
        self._at = found.end()
        return (found[1], True) if found[1] is not None else (found[2] or "", False)

    def take_if(self, sign: str) -> bool:
        before = self._at
        if self.take() == (sign, False):
            return True
        self._at = before
        return False

    def expect(self, sign: str) -> None:
        if not self.take_if(sign):
            raise self.unexpected()

    def key(self) -> str:
        token, _ = self.take()
        if not token.startswith('"'):
            raise self.unexpected()
        self.expect(":")
        return unquoted(token)

    def unexpected(self) -> ValueError:
        return ValueError(f"not JSON, near character {self._at}")
