"""What PostgreSQL prints is printed in pieces as it is at once."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from daemon.core.wire import postgres_json
from daemon.core.wire.body import PARSED_CONTAINERS, event_body
from daemon.core.wire.javascript_json import to_javascript_json
from daemon.core.wire.json_value import (
    MATCHED_CONTAINERS,
    SLOWLY_PARSED_CHARACTERS,
    parse_json,
    parse_matched,
)
from daemon.core.wire.postgres_json import print_in_pieces
from tests.support.application import Application

ID = UUID("0123456789abcdef0123456789abcdef")
NOON = datetime(2025, 11, 25, 12, tzinfo=UTC)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
indexes = st.integers(0, 120).map(str) | st.sampled_from(["4294967294", "4294967295", "01", "-1"])
keys = texts | indexes | st.sampled_from(["a", "bb", '"', "\\", '": ', "[1"])
numbers = st.one_of(
    st.integers(),
    st.integers(-(2**53) - 3, 2**53 + 3),
    st.decimals(allow_nan=False, allow_infinity=False, places=9),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-2, max_value=2, places=3),
    st.sampled_from([Decimal("1.0"), Decimal(10) ** 21, Decimal("1e-7"), Decimal("0.00")]),
)
values = st.recursive(
    st.one_of(texts, numbers, st.none(), st.booleans()),
    lambda items: st.lists(items, max_size=4) | st.dictionaries(keys, items, max_size=6),
    max_leaves=12,
)


def printed_by_postgres(value: object) -> str:
    """As a jsonb value is printed: keys by their length, then by their bytes."""
    match value:
        case dict():
            ordered = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
            inner = (f"{printed_by_postgres(k)}: {printed_by_postgres(value[k])}" for k in ordered)
            return "{" + ", ".join(inner) + "}"
        case list():
            return "[" + ", ".join(map(printed_by_postgres, value)) + "]"
        case Decimal():
            return f"{abs(value) if value == 0 else value:f}"
        case _:
            return json.dumps(value, ensure_ascii=False)


@settings(max_examples=300, deadline=None)
@given(value=values, piece=st.integers(1, 40))
@example(value=[{"a": 1, "10": {"b": [2], "3": {}}, "2": 3}] * 3, piece=5)
@example(value={"10": 1, "a": {"11": '": ', "b": "\\"}, "-1": '\\"'}, piece=3)
def test_a_value_is_printed_in_pieces_as_it_is_at_once(value: object, piece: int) -> None:
    text = printed_by_postgres(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres_json, "PIECE", piece)

        assert print_in_pieces(text) == to_javascript_json(text)


VALUES: list[object] = [
    {"a": 1, "10": {"b": [Decimal("2.50")], "3": {}}, "2": 'x\ty\u0001\x7f\u2028é"\\'},
    [[], {}, None, True, Decimal("0.0000001"), 10**21, 2**53 + 1, Decimal("-0.0"), "\b\f\r\n/"],
    {"ü": 1, "aaa": 2, "b": 3, "": 4, "Z": 5},
]


@pytest.mark.parametrize("value", VALUES, ids=["members", "scalars", "keys"])
async def test_postgres_prints_as_is_supposed_here(app: Application, value: object) -> None:
    text = printed_by_postgres(value)

    assert await app.db.fetchval("SELECT $1::text::jsonb::text", text) == text


@pytest.mark.parametrize(
    "text",
    ["[1e5]", "[1,\n2]", r'["\/"]', r'["\u00e9"]', r'["\u0008"]', r'["\ud800"]', "[ 1]", "[1.5E3]"],
)
def test_other_spellings_are_left_to_the_parser(text: str) -> None:
    assert print_in_pieces(text) is None


@pytest.mark.parametrize(
    "text", ['["1e5"]', r'["\\/ \\u00e9", 5]', '["\\u0001", "1 \\n2"]', '[true, "e"]'], ids=repr
)
def test_a_string_may_have_what_is_no_spelling_of_postgres_elsewhere(text: str) -> None:
    assert print_in_pieces(text) == to_javascript_json(text)


def test_a_large_event_of_very_many_arrays_is_sent_as_a_small_one_is() -> None:
    nested = "[" * 900 + '{"a": 1.0, "10": 2}' + "]" * 900
    data = "[" + ", ".join([nested] * (PARSED_CONTAINERS // 900 + 1)) + "]"

    body = event_body(ID, "email.opened", NOON, data)

    inner = "[" * 900 + '{"10":2,"a":1}' + "]" * 900
    printed = ",".join([inner] * (PARSED_CONTAINERS // 900 + 1))
    assert body.endswith(f',"data":[{printed}]}}'.encode())


def test_data_of_too_many_arrays_match_no_condition_and_as_many_as_may_be_do() -> None:
    most = "[" + ", ".join(["[]"] * (MATCHED_CONTAINERS - 1)) + "]"

    assert parse_matched(most) == parse_json(most)
    assert parse_matched("[" + most + "]") is None


@pytest.mark.parametrize("first", ["[" * 1500 + "]" * 1500, "1" + "0" * 400], ids=["deep", "great"])
def test_large_data_that_take_seconds_to_parse_match_no_condition_and_less_do(first: str) -> None:
    less = f"[{first}, {'x' * 1000!r}]".replace("'", '"')
    more = less.replace("x" * 1000, "x" * SLOWLY_PARSED_CHARACTERS)

    assert parse_matched(less) is not None
    assert parse_matched(more) is None
