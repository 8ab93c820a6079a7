"""Texts as pages show them: JSON indented and exact, long ones cut, times in forms, URLs."""

import re
from html import unescape
from importlib import resources

import hypothesis
import orjson
import pytest
from hypothesis import strategies
from markupsafe import escape

from daemon.admin.console.form_times import as_field, as_timestamp
from daemon.admin.console.json_text import MOST_TOKENS, shown_json
from daemon.admin.console.long_text import MOST_CHARACTERS, MOST_MARKS, first_part
from daemon.admin.console.url_query import with_query

OWN, LAID_OUT = re.compile(r'<i class="o">(.*?)</i>', re.DOTALL), re.compile(r"<i>\s+</i>")
TAG = re.compile(r"<[^>]*>")
PRINTABLE = strategies.text(strategies.characters(min_codepoint=32, max_codepoint=126))
VALUES = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers(-9, 9) | PRINTABLE,
    lambda inner: strategies.lists(inner) | strategies.dictionaries(PRINTABLE, inner),
)


def exact(shown: str) -> str:
    """The text that is shown as it was sent."""
    return unescape(TAG.sub("", LAID_OUT.sub("", shown)))


@hypothesis.given(VALUES, strategies.booleans())
def test_json_is_shown_indented_and_exactly_as_it_was(value: object, indented: bool) -> None:
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2 if indented else None).decode()

    shown = str(shown_json(text).markup)

    assert exact(shown) == text
    assert orjson.loads(unescape(TAG.sub("", OWN.sub("", shown)))) == value


@hypothesis.given(VALUES, strategies.integers(0, 200))
def test_the_beginning_of_json_is_shown_exactly_too(value: object, end: int) -> None:
    text = orjson.dumps(value).decode()[:end]

    assert exact(str(shown_json(text, cut=True).markup)) == text


def test_a_cut_document_is_indented_as_far_as_it_goes() -> None:
    shown = str(shown_json('{"a":{"b":1,"c":"unfin', cut=True).markup)

    assert shown.count("<i>\n") == 3
    assert shown.endswith(str(escape('"unfin')))


def test_unprintable_characters_of_a_string_are_marked_in_their_place() -> None:
    shown = str(shown_json('["a\x7fb","\u202e<"]').markup)

    assert '&#34;a<span class="ctl" title="U+007F">' in shown
    assert shown.index("U+007F") < shown.index("U+202E") < shown.index("&lt;")


def test_text_that_is_no_json_is_shown_as_it_is() -> None:
    for text in ("maintenance", '{"a":', "<script>", '"\x07"'):
        assert "<i" not in str(shown_json(text).markup)


@pytest.mark.parametrize("unit", ["[],", "1,", '{"a":1},', " \n1 ,"])
def test_few_tokens_of_many_are_marked_and_the_rest_is_shown_as_it_is(unit: str) -> None:
    text = f"[{unit * (MOST_CHARACTERS // len(unit))}"

    shown = shown_json(text, cut=True)

    assert shown.is_partly_plain
    assert exact(shown.markup) == text
    assert len(TAG.findall(shown.markup)) < 8 * MOST_TOKENS


def test_the_largest_payload_of_which_every_token_is_marked() -> None:
    members = MOST_TOKENS // 4 - 1
    text = orjson.dumps({f"field {number}": "é<&" for number in range(members)}).decode()

    shown = shown_json(text)

    assert not shown.is_partly_plain
    assert shown.markup.count('<span class="k">') == members
    assert exact(shown.markup) == text
    longer = f"[[{text}]]"
    assert shown_json(longer).is_partly_plain
    assert exact(shown_json(longer).markup) == longer


def test_a_long_text_is_cut_also_where_its_characters_take_much_markup() -> None:
    assert first_part("short") == "short"
    assert len(first_part("x" * 100_000)) == MOST_CHARACTERS
    assert first_part("\x07" * 5_000) == "\x07" * MOST_MARKS


def test_the_times_of_forms_are_in_utc() -> None:
    assert as_timestamp("2026-01-02T03:04") == "2026-01-02T03:04:00Z"
    assert as_timestamp("2026-01-02T03:04:05") == "2026-01-02T03:04:05Z"
    assert as_timestamp("2026-01-02T03:04:05+02:00") == "2026-01-02T03:04:05+02:00"
    assert as_field("2026-01-02T03:04:05.5Z") == "2026-01-02T03:04"
    assert as_field("2026-01-02T03:04") == "2026-01-02T03:04"
    assert as_field("2026-01-02T03:04+02:00") == as_field("now") == ""


def test_no_two_templates_have_a_list_of_suggestions_with_the_same_id() -> None:
    """Chromium's page crashes when htmx moves one to where the next page has it."""
    folder = resources.files("daemon.admin") / "templates/console"
    texts = [each.read_text() for each in folder.iterdir() if each.name.endswith(".html")]
    ids = [name for text in texts for name in set(re.findall(r'<datalist id="([^"]+)"', text))]

    assert len(ids) == len(set(ids)) >= 6


def test_a_changed_query_keeps_the_other_parameters() -> None:
    query = {"type": "a&b", "before": "x"}

    assert with_query(query, before=None, from_="1") == "?type=a%26b&from=1"
    assert with_query({}, before="") == ""
