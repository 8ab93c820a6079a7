"""
A JSON reader for text of any depth and numbers of any length.

Parsers written in C give up at some depth, and turn long numbers into doubles. This one is for the
rare text where that matters: the caller converts each scalar token, and a stack of open containers
replaces recursion.
"""

import json
import re
from collections.abc import Callable

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
    """Takes one token after another: all at once would take ten times the text's memory."""

    def __init__(self, text: str, convert_scalar: Callable[[str], object]) -> None:
        self._text = text
        self._convert = convert_scalar
        self._found = TOKEN.finditer(text)
        self._last: re.Match[str] | None = None

    def read(self) -> Tree:
        take, convert = self._take, self._convert
        # The open containers around the present one, each with the key of the value that is read.
        outer: list[tuple[list[Tree] | dict[str, Tree] | None, str | None]] = []
        container: list[Tree] | dict[str, Tree] | None = None
        key: str | None = None  # of the present container, if it is an object
        token = take()
        while True:
            value: Tree
            if token[:1] in BEGINS_SCALAR and token not in INVALID:
                value = convert(token)
            elif token in ("[", "{"):
                opened, token = token, take()
                if token != ("]" if opened == "[" else "}"):
                    outer.append((container, key))
                    container, key, token = self._first_of(opened, token)
                    continue
                value = [] if opened == "[" else {}
            else:
                raise self._unexpected()
            while container is not None:
                if isinstance(container, list):
                    container.append(value)
                else:
                    assert key is not None
                    container[key] = value
                token = take()
                if token == ",":
                    key = None if key is None else self._take_key(take())
                    break
                if token != ("]" if key is None else "}"):
                    raise self._unexpected()
                value = container
                container, key = outer.pop()
            else:
                if take() != END:
                    raise self._unexpected()
                return value
            token = take()

    def _take(self) -> str:
        self._last = found = next(self._found, None)
        return END if found is None else found[0]

    def _first_of(
        self, opened: str, token: str
    ) -> tuple[list[Tree] | dict[str, Tree], str | None, str]:
        """Return a new container, the key of its first value, and the token that begins it."""
        if opened == "[":
            return [], None, token
        key = self._take_key(token)
        return {}, key, self._take()

    def _take_key(self, token: str) -> str:
        """Return the key that a token is, and take the colon after it. Raises ValueError."""
        if token[:1] != '"' or len(token) == 1 or self._take() != ":":
            raise self._unexpected()
        return unquote(token)

    def _unexpected(self) -> ValueError:
        """Return the error for the token that was taken last."""
        position = len(self._text) if self._last is None else self._last.start()
        return ValueError(f"not JSON, near character {position}")
