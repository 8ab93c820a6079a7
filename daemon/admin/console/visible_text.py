"""
Text from outside as a page shows it: every character visible, and in its own place.

Payloads, answers and names are an attacker's text. Jinja escapes what is markup in it; this shows
characters that control a terminal, break a line or reorder text as symbols with their numbers.
"""

import re
from collections.abc import Sequence

from markupsafe import Markup, escape

from daemon.core.unprintable import UNPRINTABLE

TAB, NEW_LINE = Markup("\t"), Markup("\n")
LINES = re.compile(r"\r\n|[\n\t]")


def visible(text: str) -> Markup:
    """One line of text, with a mark in the place of each unprintable character."""
    return Markup(UNPRINTABLE.sub(_mark, str(escape(text))))  # noqa: S704  escaped here


def visible_each(texts: Sequence[str]) -> list[str]:
    """Texts without line ends, likewise; many take half the time that they take one by one."""
    escaped = str(escape("\n".join(texts)))
    return UNPRINTABLE.sub(_mark_or_line_end, escaped).split("\n")


def visible_lines(text: str) -> Markup:
    """Lines of text, likewise; tabs and line ends stay what they are."""
    parts, end = [], 0
    for found in LINES.finditer(text):
        parts += [visible(text[end : found.start()]), TAB if found[0] == "\t" else NEW_LINE]
        end = found.end()
    return Markup("").join([*parts, visible(text[end:])])


def _mark(found: re.Match[str]) -> str:
    code = ord(found[0])
    # The pictures of controls; others have none.
    shown = chr(0x2400 + code) if code < 0x20 else "\N{SYMBOL FOR DELETE}" if code == 0x7F else "�"
    return f'<span class="ctl" title="U+{code:04X}">{shown}</span>'


def _mark_or_line_end(found: re.Match[str]) -> str:
    return found[0] if found[0] == "\n" else _mark(found)
