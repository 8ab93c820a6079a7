"""
Text from outside as a page shows it: every character visible, and in its own place.

Payloads, answers and names are an attacker's text. Jinja escapes what is markup in it; this shows
characters that control a terminal, break a line or reorder text as symbols with their numbers.
"""

from collections.abc import Sequence

from markupsafe import Markup, escape

from daemon.core.unprintable import replacing


def visible(text: str) -> Markup:
    """One line of text, with a mark in the place of each unprintable character."""
    return Markup(_marked(str(escape(text))))  # noqa: S704  escaped here


def visible_each(texts: Sequence[str]) -> list[str]:
    """Texts without line ends, likewise; many take half the time that they take one by one."""
    return _marked_but_line_ends(str(escape("\n".join(texts)))).split("\n")


def visible_lines(text: str) -> Markup:
    """Lines of text, likewise; tabs and line ends stay what they are."""
    return Markup(_marked_lines(str(escape(text)).replace("\r\n", "\n")))  # noqa: S704  likewise


def _mark(character: str) -> str:
    code = ord(character)
    # The pictures of controls; others have none.
    shown = chr(0x2400 + code) if code < 0x20 else "\N{SYMBOL FOR DELETE}" if code == 0x7F else "�"
    return f'<span class="ctl" title="U+{code:04X}">{shown}</span>'


_marked = replacing(_mark)
_marked_lines = replacing(_mark, but="\t\n")
_marked_but_line_ends = replacing(_mark, but="\n")
