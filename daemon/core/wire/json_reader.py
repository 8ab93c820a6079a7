"""
A JSON reader for text of any depth and numbers of any length.

Parsers written in C give up at some depth, and turn long numbers into doubles. This one is for the
rare text where that matters: the caller converts each scalar token, and a stack of open containers
replaces recursion.
"""

import json
import re
from collections.abc import Callable
from itertools import islice

Tree = dict[str, "Tree"] | list["Tree"] | object

# RFC 8259: a string, a structural character, a number, a literal; or a character that is none.
TOKEN = re.compile(
    r"""
        "[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"
      | [\[\]{},:]
      | -?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?
      | true | false | null
      | [^ \t\n\r]
    """,
    re.VERBOSE,
)
BEGINS_SCALAR = frozenset('"-0123456789tfn')
INVALID = frozenset('-tfn"')  # single characters that begin a scalar and are none
END = ""


def read(text: str, convert_scalar: Callable[[str], object]) -> Tree:
    """
    Return the value of JSON `text`: dicts, lists, and `convert_scalar(token)` for each scalar.

    Of duplicate keys the last value wins, at the position of the first, as in Python and
    JavaScript. Raises ValueError when `text` is not JSON.
    """
    return _Reader(text, convert_scalar).read()


def unquote(token: str) -> str:
    """Return the string that a JSON string token denotes; lone surrogates are kept."""
    return token[1:-1] if "\\" not in token else str(json.loads(token))


class _Reader:
    """The tokens of a text, all at once: a call for each would take most of the time."""

    def __init__(self, text: str, convert_scalar: Callable[[str], object]) -> None:
        self._text = text
        self._convert = convert_scalar
        self._tokens = [*TOKEN.findall(text), END]
        self._next = 0

    def read(self) -> Tree:
        tokens, convert = self._tokens, self._convert
        # The open containers around the present one, each with the key of the value that is read.
        outer: list[tuple[list[Tree] | dict[str, Tree] | None, str | None]] = []
        container: list[Tree] | dict[str, Tree] | None = None
        key: str | None = None  # of the present container, if it is an object
        while True:
            token = tokens[self._next]
            self._next += 1
            value: Tree
            if token[:1] in BEGINS_SCALAR and token not in INVALID:
                value = convert(token)
            elif token not in ("[", "{"):
                raise self._unexpected()
            elif tokens[self._next] == ("]" if token == "[" else "}"):
                self._next += 1
                value = [] if token == "[" else {}
            else:
                outer.append((container, key))
                container, key = ([], None) if token == "[" else ({}, self._take_key())
                continue
            while container is not None:
                if isinstance(container, list):
                    container.append(value)
                else:
                    assert key is not None
                    container[key] = value
                token = tokens[self._next]
                self._next += 1
                if token == ",":
                    key = None if key is None else self._take_key()
                    break
                if token != ("]" if key is None else "}"):
                    raise self._unexpected()
                value = container
                container, key = outer.pop()
            else:
                self._next += 1
                if tokens[self._next - 1] != END:
                    raise self._unexpected()
                return value

    def _take_key(self) -> str:
        """Take an object's key and the colon after it. Raises ValueError."""
        token = self._tokens[self._next]
        self._next += 1
        if token[:1] != '"' or len(token) == 1:
            raise self._unexpected()
        self._next += 1
        if self._tokens[self._next - 1] != ":":
            raise self._unexpected()
        return unquote(token)

    def _unexpected(self) -> ValueError:
        """Return the error for the token that was taken last."""
        found = next(islice(TOKEN.finditer(self._text), self._next - 1, None), None)
        position = len(self._text) if found is None else found.start()
        return ValueError(f"not JSON, near character {position}")
