"""Keep text from outside on one line, and from controlling a terminal."""

from daemon.core.unprintable import UNPRINTABLE
from daemon.logs.urls import without_secrets


def one_line(text: str, *, longest: int = 300) -> str:
    """Return `text` as one printable line of at most `longest` characters, without secrets."""
    line = " ".join(UNPRINTABLE.sub(" ", without_secrets(text)).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
