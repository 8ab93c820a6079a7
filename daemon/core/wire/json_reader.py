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

# An open array or object; with an object, the key whose value comes next.
_Container = tuple[dict[str, Tree] | list[Tree], str]

# RFC 8259; group 1 is a scalar (string, number, literal), group 2 a structural character.
TOKEN = re.compile(
    r"""[ \t\n\r]*(?:
    (
        "[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"
      | -?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?
      | true | false | null
    ) | ([\[\]{},:]) | \Z )""",
    re.VERBOSE,
)

CLOSING = {"{": "}", "[": "]"}
END = ""


def read(text: str, convert_scalar: Callable[[str], object]) -> Tree:
    """
    Return the value of JSON `text`: dicts, lists, and `convert_scalar(token)` for each scalar.

    Of duplicate keys the last value wins, at the position of the first, as in Python and
    JavaScript. Raises ValueError when `text` is not JSON.
    """
    tokens = _Tokens(text)
    containers: list[_Container] = []  # outermost first
    while True:
        token, is_scalar = tokens.take()
        value: Tree
        if is_scalar:
            value = convert_scalar(token)
        elif token not in CLOSING:
            raise tokens.unexpected()
        elif tokens.take_if(CLOSING[token]):
            value = {} if token == "{" else []
        else:
            containers.append(({}, tokens.take_key()) if token == "{" else ([], ""))
            continue
        value = _store(value, containers, tokens)
        if not containers:
            tokens.expect(END)
            return value


def unquote(token: str) -> str:
    """Return the string that a JSON string token denotes; lone surrogates are kept."""
    return token[1:-1] if "\\" not in token else str(json.loads(token))


def _store(value: Tree, containers: list[_Container], tokens: "_Tokens") -> Tree:
    """Store `value`, close the containers that end after it, and return the last one closed."""
    while containers:
        container, key = containers[-1]
        if isinstance(container, dict):
            container[key] = value
        else:
            container.append(value)
        if tokens.take_if(","):
            if isinstance(container, dict):
                containers[-1] = (container, tokens.take_key())
            break
        tokens.expect("}" if isinstance(container, dict) else "]")
        containers.pop()
        value = container
    return value


class _Tokens:
    """The tokens of a text, one at a time; END follows the last one."""

    __slots__ = ("_position", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def take(self) -> tuple[str, bool]:
        """Return the next token, and whether it is a scalar. Raises ValueError."""
        found = TOKEN.match(self._text, self._position)
        if found is None:
            raise self.unexpected()
        self._position = found.end()
        return (found[1], True) if found[1] is not None else (found[2] or END, False)

    def take_if(self, structural: str) -> bool:
        """Take the next token only if it is this structural character, or END."""
        before = self._position
        if self.take() == (structural, False):
            return True
        self._position = before
        return False

    def expect(self, structural: str) -> None:
        """Take this structural character, or END. Raises ValueError for any other token."""
        if not self.take_if(structural):
            raise self.unexpected()

    def take_key(self) -> str:
        """Take an object's key and the colon after it. Raises ValueError."""
        token, _ = self.take()
        if not token.startswith('"'):
            raise self.unexpected()
        self.expect(":")
        return unquote(token)

    def unexpected(self) -> ValueError:
        """Return the error for the token at the current position."""
        return ValueError(f"not JSON, near character {self._position}")
