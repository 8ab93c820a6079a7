"""Customers may add any header that is well-formed and not reserved."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.policy.headers import LONGEST_VALUE, MOST_HEADERS, RESERVED, judge_headers
from daemon.core.policy.refusal import Refusal

TCHAR = "!#$%&'*+-.^`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

ACCEPTED = {
    "a bearer token": {"Authorization": "Bearer abc.def-ghi_jkl~mno+/=="},
    "basic authentication": {"Authorization": "Basic dXNlcjpwYXNz"},
    "an API key": {"X-API-Key": "k3y"},
    "an empty value": {"X-Empty": ""},
    "spaces inside": {"X-Sentence": "two  words\tand a tab"},
    "a cookie": {"Cookie": "a=b; c=d"},
    "every character of a token but the underscore": {TCHAR: "x"},
    "an underscore in the value": {"X-Key": "a_b"},
    "the longest value": {"X": "v" * LONGEST_VALUE},
    "the most headers": {f"X-{n}": "v" for n in range(MOST_HEADERS)},
    "none": {},
}

REFUSED: dict[str, dict[str, object]] = {
    "an empty name": {"": "x"},
    "a space in the name": {"X A": "x"},
    "a colon in the name": {"X:": "x"},
    "a newline in the name": {"X\r\nY": "x"},
    "a newline at the end of the name": {"X\n": "x"},
    "a name that is not ASCII": {"X-É": "x"},
    "a name of look-alikes": {"\uff28ost": "x"},
    "an underscore": {"X_Key": "x"},
    "an underscore that a server reads as a reserved name": {"Content_Length": "0"},
    "a zero-width character in the name": {"X\u200b": "x"},
    "a long name": {"X" * 129: "x"},
    "a newline in the value": {"X": "a\r\nY: b"},
    "a bare line feed": {"X": "a\nb"},
    "a newline at the end of the value": {"X": "a\n"},
    "a NUL": {"X": "a\x00b"},
    "a control character": {"X": "a\x1bb"},
    "a DEL": {"X": "a\x7fb"},
    "a C1 control character": {"X": "a\x85b"},
    "a right-to-left override": {"X": "a\u202eb"},
    "an isolate": {"X": "a\u2066b\u2069"},
    "a line separator": {"X": "a\u2028b"},
    "a space at the beginning": {"X": " a"},
    "a space at the end": {"X": "a "},
    "a single space": {"X": " "},
    "a value that is not ASCII": {"X": "é"},
    "a number": {"X": 5},
    "null": {"X": None},
    "a list": {"X": ["a"]},
    "a long value": {"X": "v" * (LONGEST_VALUE + 1)},
    "one too many": {f"X-{n}": "v" for n in range(MOST_HEADERS + 1)},
    "the same name twice": {"X-Key": "a", "x-key": "b"},
    "a sealed value": {"X": "sealed:1:0123abcd:AAAA"},
    "the prefix of sealed values": {"X": "sealed:"},
    "too many bytes in all": {f"X-{n}": "v" * LONGEST_VALUE for n in range(5)},
}


@pytest.mark.parametrize("headers", ACCEPTED.values(), ids=ACCEPTED)
def test_a_header_is_accepted(headers: dict[str, str]) -> None:
    assert judge_headers(headers) == tuple(headers.items())


@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED)
def test_a_header_is_refused(headers: dict[str, object]) -> None:
    assert isinstance(judge_headers(headers), Refusal)


@pytest.mark.parametrize(
    "name",
    sorted(
        RESERVED
        | {
            "webhook-id",
            "webhook-anything",
            "x-penguinmails-signature",
            "x-forwarded-for",
            "proxy-authorization",
            "proxy-connection",
            "x-aws-ec2-metadata-token",
        }
    ),
)
@pytest.mark.parametrize("spelling", [str.lower, str.upper, str.title])
def test_a_reserved_name_is_refused_in_upper_and_lower_case(name: str, spelling: object) -> None:
    assert callable(spelling)
    spelled = spelling(name)

    assert judge_headers({spelled: "x"}) == Refusal(f"the header {spelled} is reserved")


def test_a_refusal_never_shows_a_value() -> None:
    shown = [judge_headers({"X-Key": f"c4n4ry{end}"}) for end in ("\n", "é", "x" * 5000)]

    assert "c4n4ry" not in repr(shown)


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8) | st.integers(), max_size=4))
def test_an_accepted_header_is_a_single_line(headers: dict[str, object]) -> None:
    judged = judge_headers(headers)

    if not isinstance(judged, Refusal):
        for name, value in judged:
            line = f"{name}: {value}".encode("ascii")
            assert line.splitlines() == [line]
            assert name == name.strip()
            assert value == value.strip()
