"""
Characters that control a terminal, break a line or reorder text, found and escaped.

Text from outside is stored as it came, and shown to people only without these characters.
"""

import re

# C0 and C1 controls, other line separators, characters that change the text's direction (Unicode's
# Bidi_Control), and lone surrogates. Joiners stay: emoji and several scripts need them.
UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escape(text: str) -> str:
    """Return `text` with unprintable characters as escapes, such as `\\n`."""
    return UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


def escape_lines(text: str) -> str:
    """Escape as `escape` does, except for tabs and line breaks."""
    return UNPRINTABLE.sub(
        lambda found: found[0] if found[0] in "\t\n\r" else escape(found[0]), text
    )


def escape_json(document: bytes) -> bytes:
    """Escape unprintable characters within the strings of a JSON document on one line."""
    if document.isascii() and b"\x7f" not in document:
        return document  # JSON itself escapes the other controls in ASCII
    text = document.decode()
    return UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()
