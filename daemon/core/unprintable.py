"""
Characters that control a terminal, break a line or reorder text, found and escaped.

Text from outside is stored as it came, and shown to people only without these characters. A text of
nothing else takes no longer than any other: each is looked up, none is a call.
"""

import re
from collections.abc import Callable
from functools import cache

# C0 and C1 controls, other line separators, characters that change the text's direction (Unicode's
# Bidi_Control), and lone surrogates. Joiners stay: emoji and several scripts need them.
UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def replacing(replacement: Callable[[str], str], *, but: str = "") -> Callable[[str], str]:
    """A function that puts `replacement` in the place of each unprintable character."""

    @cache
    def table() -> dict[int, str]:
        return {ord(each): replacement(each) for each in _every_one() if each not in but}

    def replace(text: str) -> str:
        # Most texts have none, which a search tells sooner; most programs never need the table.
        return text.translate(table()) if UNPRINTABLE.search(text) else text

    return replace


@cache
def _every_one() -> list[str]:
    return UNPRINTABLE.findall("".join(map(chr, range(0x10000))))


def _escaped(character: str) -> str:
    return ascii(character)[1:-1]


_escape = replacing(_escaped)
_escape_lines = replacing(_escaped, but="\t\n\r")
_escape_json = replacing(lambda character: f"\\u{ord(character):04x}")


def escape(text: str) -> str:
    """Return `text` with unprintable characters as escapes, such as `\\n`."""
    return _escape(text)


def escape_lines(text: str) -> str:
    """Escape as `escape` does, except for tabs and line breaks."""
    return _escape_lines(text)


def escape_json(document: bytes) -> bytes:
    """Escape unprintable characters within the strings of a JSON document on one line."""
    if document.isascii() and b"\x7f" not in document:
        return document  # JSON itself escapes the other controls in ASCII
    return _escape_json(document.decode()).encode()
