"""JSON is printed as JavaScript prints it, but for numbers that JavaScript would change."""

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings

from daemon.core.event_types import EVENT_TYPES, sample_data
from daemon.core.wire import javascript_json
from daemon.core.wire.javascript_json import to_javascript_json
from tests.core.wire.json_texts import Stringify, is_integer, javascript_keeps, numbers, texts


@settings(max_examples=200, deadline=None)
@given(texts(numbers.filter(javascript_keeps)))
def test_a_text_is_printed_as_javascript_prints_it(stringify: Stringify, text: str) -> None:
    printed = to_javascript_json(text)

    assert printed.decode() == stringify(text)


@settings(max_examples=600, deadline=None)
@given(numbers)
def test_a_number_keeps_its_digits_only_when_javascript_would_change_it(
    stringify: Stringify, text: str
) -> None:
    printed = to_javascript_json(text).decode()

    by_node = stringify(text)
    if by_node != "null" and (not is_integer(text) or Decimal(by_node) == Decimal(text)):
        assert printed == by_node
    elif by_node != "null":
        assert printed == f"{Decimal(text):.0f}"
    else:
        assert printed == text


@settings(max_examples=100, deadline=None)
@given(texts(numbers))
def test_javascript_reads_the_same_value_from_the_printed_text(
    stringify: Stringify, text: str
) -> None:
    printed = to_javascript_json(text).decode()

    assert stringify(printed) == stringify(text)


@settings(max_examples=100, deadline=None)
@given(texts(numbers))
def test_printing_is_idempotent(text: str) -> None:
    printed = to_javascript_json(text)

    assert to_javascript_json(printed.decode()) == printed


@settings(max_examples=100, deadline=None)
@given(texts(numbers))
def test_a_value_is_printed_the_same_at_any_depth(text: str) -> None:
    nested = to_javascript_json("[" * 300 + text + "]" * 300)

    assert nested == b"[" * 300 + to_javascript_json(text) + b"]" * 300


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("1.0", "1"),
        ("1.50", "1.5"),
        ("-0", "0"),
        ("[-0.0, 0e7]", "[0,0]"),
        ("0.0000001", "1e-7"),
        ("0.000001", "0.000001"),
        ("1000000000000000000000", "1e+21"),
        ("100000000000000000000000", "1e+23"),
        ("123456789012345680000", "123456789012345680000"),
        ("9007199254740993", "9007199254740993"),
        ("9007199254740993.0", "9007199254740993"),
        ("9007199254740993.5", "9007199254740994"),
        ("-12345678901234567890", "-12345678901234567890"),
        ("0.1000000000000000055511151231257827", "0.1"),
        ("1e400", "1e400"),
        ('{"b": 1, "10": 2, "a": 3, "2": 4}', '{"2":4,"10":2,"b":1,"a":3}'),
        ('{"4294967295": 1, "4294967294": 2}', '{"4294967294":2,"4294967295":1}'),
        ('{"01": 1, "-1": 2, "1": 3}', '{"1":3,"01":1,"-1":2}'),
        ('{"a": 1, "__proto__": 2, "a": 3}', '{"a":3,"__proto__":2}'),
        (r'"\u00e9\/\u001F\u007f\u2028\n"', '"é/\\u001f\x7f\u2028\\n"'),
        (r'"\ud83d\ude00 \uDC00"', '"😀 \\udc00"'),
        ("[[], {}, [{}]]", "[[],{},[{}]]"),
        (' \t\n\r"" ', '""'),
    ],
)
def test_each_kind_of_value_is_spelt_as_javascript_spells_it(text: str, printed: str) -> None:
    assert to_javascript_json(text) == printed.encode()


@pytest.mark.parametrize(
    "text",
    [
        "[" * 9000 + "]" * 9000,
        '{"a":' * 9000 + "null" + "}" * 9000,
        '[{"a":' * 4000 + "1" + "}]" * 4000,
        "9" * 400,
        "-" + "9" * 10_000,
        "9" * 131_072,
        "9" * 131_072 + "." + "1" * 16_383,
        '{"a":[' + "123456789" * 1111 + "]}",
    ],
    ids=["lists", "objects", "both", "400", "10,000", "131,072", "fraction", "in an object"],
)
def test_text_of_any_depth_and_length_is_printed(text: str) -> None:
    assert to_javascript_json(text) == text.encode()


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "{", "]", "[1", "[1,]", "[1 2]", "[,1]", '{"a"}', '{"a":}', '{"a":1,}', "{1:2}"),
        *("01", "1.", ".5", "+1", "1e", "-", "NaN", "Infinity", "-Infinity", "nul", "True", "1 1"),
        *('"', '"\n"', r'"\x41"', r'"\u12"', "'a'", "[1}", '{"a":1]', "[]]", "{}{}", "\ufeff1"),
        *("[" * 300 + "NaN" + "]" * 300, "[" * 300 + "]" * 299, "[" * 300 + "]" * 301),
    ],
)
def test_text_that_is_not_json_raises_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"not JSON"):
        to_javascript_json(text)


def test_an_ordinary_event_takes_the_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(javascript_json, "_print_with_hooks")
    monkeypatch.delattr(javascript_json, "_print_without_recursion")

    for event_type in EVENT_TYPES:
        data = sample_data(event_type.name) | {"position": 40.7128, "version": "17.0", "count": -12}
        assert json.loads(to_javascript_json(json.dumps(data))) == data
