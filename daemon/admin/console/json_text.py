"""
JSON as a page shows it: indented, its parts marked for colours, digits as they were sent.

White space that is not in the text is within `<i>`, and the text's own within `<i class="o">`: a
style sheet shows the one or the other, indented or exactly as it was sent.
"""

import re

import orjson
from markupsafe import Markup

from daemon.admin.console.visible_text import visible, visible_lines

# Longer text is shown as it is: marking it would take longer than the rest of the page.
MOST_CHARACTERS = 64 * 1024
DEEPEST = 100
TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\\x00-\x1f]|\\.)*")|(?P<number>-?\d[\d.eE+-]*)"""
    r"""|(?P<word>true|false|null)|(?P<open>[{\[])|(?P<close>[}\]])|(?P<mark>[,:])"""
    r"""|(?P<space>[ \t\r\n]+)"""
)
# What a cut document may end with: a string without its end, or a part of a word.
UNFINISHED = re.compile(r"""("(?:[^"\\\x00-\x1f]|\\.)*\\?|-|[a-z]{1,4})""")
INDENT = "  "
SPACE, AFTER_COLON = Markup('<i class="o">{}</i>'), Markup("<i> </i>")


def shown_json(text: str, *, cut: bool = False) -> Markup:
    """
    Indent a JSON document and mark its keys, strings and numbers.

    Nothing is parsed into values: numbers keep their digits, objects the order and the number of
    their members. Text that is no JSON, or too long, is shown as it is. One that is `cut` is the
    beginning of a document.
    """
    if len(text) > MOST_CHARACTERS:
        return visible_lines(text)
    tokens = _tokens(text, cut=cut)
    if tokens is None:
        return visible_lines(text)
    return Markup("").join(_laid_out(tokens))


def json_value(value: object) -> str:
    """A value of JSON as text."""
    return orjson.dumps(value).decode()


def _tokens(text: str, *, cut: bool) -> list[tuple[str, str]] | None:
    """The kind and the text of each token; None for what is no JSON."""
    tokens: list[tuple[str, str]] = []
    end = depth = 0
    while end < len(text):
        found = TOKEN.match(text, end)
        if found is None or found.lastgroup is None:
            if not (cut and tokens and UNFINISHED.fullmatch(text, end)):
                return None
            return [*tokens, ("unfinished", text[end:])]
        end, kind = found.end(), found.lastgroup
        depth += {"open": 1, "close": -1}.get(kind, 0)
        if not 0 <= depth <= DEEPEST:
            return None
        tokens.append((kind, found[0]))
    return tokens if tokens and (depth == 0 or cut) else None


def _laid_out(all_tokens: list[tuple[str, str]]) -> list[Markup]:
    out: list[Markup] = []
    depth = 0
    tokens = [each for each in all_tokens if each[0] != "space"]
    spaces = _spaces_before(all_tokens)
    for place, (kind, text) in enumerate(tokens):
        if place in spaces:
            out.append(SPACE.format(spaces[place]))
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
            out.append(AFTER_COLON)
    if len(tokens) in spaces:
        out.append(SPACE.format(spaces[len(tokens)]))
    return out


def _spaces_before(all_tokens: list[tuple[str, str]]) -> dict[int, str]:
    """The text's own white space, by the place of the token that follows."""
    spaces: dict[int, str] = {}
    place = 0
    for kind, text in all_tokens:
        if kind == "space":
            spaces[place] = text
        else:
            place += 1
    return spaces


def _marked(kind: str, text: str, *, is_key: bool) -> Markup:
    css_class = "k" if is_key else {"string": "s", "number": "n", "word": "n"}.get(kind)
    shown = visible(text)
    if css_class is None:
        return shown
    # A third of the time of Markup.format, for thousands of tokens of a page.
    return Markup(f'<span class="{css_class}">{shown}</span>')  # noqa: S704  escaped by `visible`


def _line(depth: int) -> Markup:
    return Markup("<i>\n" + INDENT * depth + "</i>")  # noqa: S704  spaces
