"""
JSON as a page shows it: indented, its parts marked for colours, digits as they were sent.

White space that is not in the text is within `<i>`, and the text's own within `<i class="o">`: a
style sheet shows the one or the other, indented or exactly as it was sent. The rule: marking a
text takes a bounded time, whatever is in it. What follows `MOST_TOKENS` is shown as it is.
"""

import re
from dataclasses import dataclass, field

import orjson
from markupsafe import Markup

from daemon.admin.console.visible_text import visible_each, visible_lines

# Some milliseconds of the event loop. White space is not counted; there is less of it.
MOST_TOKENS = 2_000
DEEPEST = 100
# Text that is no token goes on to the end, so that the matches are all of the text.
TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\\x00-\x1f]|\\.)*")(?P<key>(?=[ \t\r\n]*:))?"""
    r"""|(?P<number>-?\d[\d.eE+-]*|true|false|null)|(?P<open>[{\[])|(?P<close>[}\]])"""
    r"""|(?P<comma>,)|(?P<colon>:)|(?P<space>[ \t\r\n]+)|(?P<other>[\s\S]+)"""
)
# Of tokens whose text may need escaping.
SPANS = {
    "string": ('<span class="s">', "</span>"),
    "key": ('<span class="k">', "</span>"),
    "other": ("", ""),
}
# The possible ends of a cut document: a string without its end, or a part of a word.
UNFINISHED = re.compile(r"""("(?:[^"\\\x00-\x1f]|\\.)*\\?|-|[a-z]{1,4})""")
AFTER_COLON = "<i> </i>"
LINES = tuple("<i>\n" + "  " * depth + "</i>" for depth in range(DEEPEST + 1))


@dataclass(frozen=True, slots=True)
class ShownText:
    """The markup of a text; if it `is_partly_plain`, only the beginning of a long one is marked."""

    markup: Markup
    is_partly_plain: bool = False


def shown_json(text: str, *, cut: bool = False) -> ShownText:
    """
    Indent a JSON document and mark its keys, strings and numbers.

    Nothing is parsed into values: numbers keep their digits, objects the order and the number of
    their members. Text that is no JSON is shown as it is. One that is `cut` is the beginning of a
    document.
    """
    layout = _Layout()
    for found in TOKEN.finditer(text):
        kind = found.lastgroup or ""
        if kind == "space":
            layout.space = found[0]
            continue
        if layout.tokens == MOST_TOKENS:
            rest = visible_lines(text[found.start() - len(layout.space) :])
            return ShownText(layout.markup(is_end=False) + rest, is_partly_plain=True)
        is_part = kind != "other" or (
            cut and layout.tokens > 0 and UNFINISHED.fullmatch(found[0]) is not None
        )
        if not is_part or not layout.add(kind, found[0]):
            return ShownText(visible_lines(text))
    if layout.tokens == 0 or (layout.depth > 0 and not cut):
        return ShownText(visible_lines(text))
    return ShownText(layout.markup(is_end=True))


def json_value(value: object) -> str:
    """A value of JSON as text."""
    return orjson.dumps(value).decode()


@dataclass(slots=True)
class _Layout:
    """The markup of the tokens so far; `space` is the text's own before the next one."""

    tokens: int = 0
    depth: int = 0
    space: str = ""
    _parts: list[str] = field(default_factory=list)
    # Texts that may need escaping, which is done for all at once, and their places among the parts.
    _texts: list[str] = field(default_factory=list)
    _places: list[int] = field(default_factory=list)
    _before: str = ""  # the kind of the last token

    def add(self, kind: str, text: str) -> bool:
        """Add a token; False for one that closes what is not open, or is too deep."""
        before, self._before = self._before, kind
        if before == "open" and kind != "close":
            self._parts.append(LINES[self.depth])
        self._add_space()
        if kind == "close":
            self.depth -= 1
            if self.depth < 0:
                return False
            if before != "open":
                self._parts.append(LINES[self.depth])
        self._add_marked(kind, text)
        self.depth += kind == "open"
        if kind == "comma":
            self._parts.append(LINES[self.depth])
        elif kind == "colon":
            self._parts.append(AFTER_COLON)
        self.tokens += 1
        return self.depth <= DEEPEST

    def markup(self, *, is_end: bool) -> Markup:
        """All of it; at the text's end with the space there."""
        if is_end and self._before == "open":
            self._parts.append(LINES[self.depth])
        if is_end:
            self._add_space()
        for place, shown in zip(self._places, visible_each(self._texts), strict=False):
            self._parts[place] = shown
        return Markup("".join(self._parts))  # noqa: S704  escaped by `visible_each`

    def _add_space(self) -> None:
        if self.space:
            self._parts.append(f'<i class="o">{self.space}</i>')
            self.space = ""

    def _add_marked(self, kind: str, text: str) -> None:
        if kind in SPANS:
            start, end = SPANS[kind]
            self._parts += (start, text, end)
            self._texts.append(text)
            self._places.append(len(self._parts) - 2)
        else:
            self._parts.append(f'<span class="n">{text}</span>' if kind == "number" else text)
