"""Keep text from outside on one line, and from controlling a terminal."""

import re

from daemon.logs.urls import without_secrets

# C0 and C1 controls, other line separators, characters that change the text's direction, and lone
# surrogates.
_UNPRINTABLE = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def one_line(text: str, *, longest: int = 300) -> str:
    """Return `text` as one printable line of at most `longest` characters, without secrets."""
    line = " ".join(_UNPRINTABLE.sub(" ", without_secrets(text)).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def escape(text: str) -> str:
    """Return `text` with unprintable characters as escapes, such as `\\n`."""
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)
