"""JSON as a page shows it: indented, its parts marked for colours, digits as they were sent."""

import re

from markupsafe import Markup

from daemon.admin.console.visible_text import visible, visible_lines

# Longer text is shown as it is: marking it would take longer than the rest of the page.
MOST_CHARACTERS = 64 * 1024
DEEPEST = 100
TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\\x00-\x1f]|\\.)*")|(?P<number>-?\d[\d.eE+-]*)"""
    r"""|(?P<word>true|false|null)|(?P<open>[{\[])|(?P<close>[}\]])|(?P<mark>[,:])|(?P<space>\s+)"""
)
INDENT = "  "


def shown_json(text: str) -> Markup:
    """
    Indent a JSON document and mark its keys, strings and numbers.

    Nothing is parsed into values: numbers keep their digits, objects the order and the number of
    their members. Text that is no JSON, or too long, is shown as it is.
    """
    if len(text) > MOST_CHARACTERS:
        return visible_lines(text)
    tokens = _tokens(text)
    if tokens is None:
        return visible_lines(text)
    return Markup("").join(_laid_out(tokens))


def _tokens(text: str) -> list[tuple[str, str]] | None:
    """The kind and the text of each token, without spaces; None for what is no JSON."""
    tokens: list[tuple[str, str]] = []
    end = depth = 0
    while end < len(text):
        found = TOKEN.match(text, end)
        if found is None or found.lastgroup is None:
            return None
        end, kind = found.end(), found.lastgroup
        depth += {"open": 1, "close": -1}.get(kind, 0)
        if not 0 <= depth <= DEEPEST:
            return None
        if kind != "space":
            tokens.append((kind, found[0]))
    return tokens if tokens and depth == 0 else None


def _laid_out(tokens: list[tuple[str, str]]) -> list[Markup]:
    out: list[Markup] = []
    depth = 0
    for place, (kind, text) in enumerate(tokens):
        before = tokens[place - 1] if place else ("", "")
        after = tokens[place + 1] if place + 1 < len(tokens) else ("", "")
        if kind == "close":
            depth -= 1
            if before[0] != "open":
                out.append(_line(depth))
        out.append(_marked(kind, text, is_key=after[1] == ":" and kind == "string"))
        if kind == "open":
            depth += 1
            if after[0] != "close":
                out.append(_line(depth))
        elif text == ",":
            out.append(_line(depth))
        elif text == ":":
            out.append(Markup(" "))
    return out


def _marked(kind: str, text: str, *, is_key: bool) -> Markup:
    css_class = "k" if is_key else {"string": "s", "number": "n", "word": "n"}.get(kind)
    shown = visible(text)
    return (
        shown
        if css_class is None
        else Markup('<span class="{}">{}</span>').format(css_class, shown)
    )


def _line(depth: int) -> Markup:
    return Markup("\n" + INDENT * depth)  # noqa: S704  spaces
