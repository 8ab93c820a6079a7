"""Whatever customers and receivers choose, no secret survives, and the search for it is bounded."""

import base64
import time
from binascii import Error as Base64Error
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.model.attempts import LONGEST_HEADER_VALUE, Outcome, Response
from daemon.core.model.secrets import HIDDEN, Credentials
from daemon.secrets import redaction
from daemon.secrets.redaction import redact
from tests.support.application import SECRET

# Few characters, so that secrets overlap, repeat and begin alike; none of them is in `[hidden]`.
TEXT = st.text("ab:\ufffd", max_size=40)
SECRETS = st.text("ab:", min_size=8, max_size=24)
SCHEMES = st.sampled_from(["", "Bearer ", "Basic ", "basic  "])


@st.composite
def credentials(draw: st.DrawFn) -> Credentials:
    values = []
    for scheme in draw(st.lists(SCHEMES, max_size=5)):
        token = draw(SECRETS)
        if scheme.lower().startswith("basic"):
            token = base64.b64encode(token.replace("b", "\x00").encode()).decode()
            token = token.rstrip("=") if draw(st.booleans()) else token
        values.append(scheme + token)
    headers = tuple((f"x-{at}", value) for at, value in enumerate(values))
    return Credentials(draw(SECRETS), draw(st.none() | SECRETS), headers)


@st.composite
def responses(draw: st.DrawFn, used: Credentials) -> Response:
    """A response of whole secrets, pieces of them, and other text."""
    known = secrets_of(used)

    def text() -> str:
        pieces = []
        for _ in range(draw(st.integers(0, 5))):
            secret = draw(st.sampled_from(known))
            end = draw(st.integers(0, len(secret)))
            pieces.append(draw(TEXT | st.just(secret) | st.just(secret[:end])))
        return "".join(pieces)

    headers = tuple((f"x-{at}", text()) for at in range(draw(st.integers(0, 4))))
    return Response(200, headers, text(), draw(st.booleans()))


def secrets_of(used: Credentials) -> list[str]:
    secrets = [used.secret, used.previous_secret or ""]
    for _, value in used.headers:
        secrets.append(value)
        parts = value.split()
        secrets += parts[1:]
        if parts[0].lower() == "basic":
            try:
                decoded = base64.b64decode(f"{parts[1]}==").decode().replace("\x00", "\ufffd")
            except (Base64Error, UnicodeDecodeError):
                continue
            secrets += [decoded, decoded.partition(":")[2]]
    return [secret for secret in secrets if len(secret) >= 8]


def beginnings_at_end(text: str, secrets: list[str]) -> list[str]:
    return [
        secret[:length]
        for secret in secrets
        for length in range(4, len(secret))
        if text.endswith(secret[:length])
    ]


def model(text: str, secrets: list[str], *, cut: bool) -> str:
    """Redact without any bound on the work."""
    beginnings = beginnings_at_end(text, secrets) if cut else []
    if beginnings:
        whole = [secret for secret in secrets if text.endswith(secret)]
        text = text[: -max(map(len, beginnings + whole))] + HIDDEN
    for secret in sorted(dict.fromkeys(secrets), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


LONGEST_VALUE = 30  # characters
TIGHT = {
    "MOST_SEARCHED": 400, "LINEAR_LENGTH": 50, "MOST_QUADRATIC": 100, "MOST_ENDS": 8,
    "MOST_BEGINNINGS": 1,
}  # fmt: skip


@given(st.data())
def test_no_secret_survives_however_tight_the_bounds(data: st.DataObject) -> None:
    used = data.draw(credentials())
    secrets, response = secrets_of(used), data.draw(responses(used))
    tight: dict[str, st.SearchStrategy[Any]] = {
        name: st.just(bound) for name, bound in TIGHT.items()
    }
    bounds = data.draw(st.fixed_dictionaries({}, optional=tight))

    with patch.multiple(redaction, **bounds | {"LONGEST_HEADER_VALUE": LONGEST_VALUE}):
        shown = redact(Outcome(response, took_ms=1), used).result

    assert isinstance(shown, Response)
    values = [value for _, value in shown.headers]
    assert [secret for secret in secrets for text in [shown.body, *values] if secret in text] == []
    cut = [shown.body] if response.truncated else []
    cut += [
        after
        for (_, before), after in zip(response.headers, values, strict=True)
        if len(before) >= LONGEST_VALUE
    ]
    assert [found for text in cut for found in beginnings_at_end(text, secrets)] == []


@given(st.data())
def test_within_the_bounds_all_else_survives(data: st.DataObject) -> None:
    used = data.draw(credentials())
    secrets, response = secrets_of(used), data.draw(responses(used))

    with patch.object(redaction, "MOST_BEGINNINGS", 100):
        shown = redact(Outcome(response, took_ms=1), used).result

    assert isinstance(shown, Response)
    assert shown.body == model(response.body, secrets, cut=response.truncated)
    assert [value for _, value in shown.headers] == [
        model(value, secrets, cut=False) for _, value in response.headers
    ]


def headers_of(*values: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"X-{at}", value) for at, value in enumerate(values))


def basic(user_and_password: str) -> str:
    return f"Basic {base64.b64encode(user_and_password.encode()).decode()}"


WORST_RESPONSE = Response(200, headers_of(*["z" * 2000] * 31), "z" * 16_384, truncated=True)
LONG_BEGINNINGS = ["z" * 450 + f"{at:06}" for at in range(32)]
WORST_SECRETS = {
    "long common beginnings": LONG_BEGINNINGS,
    "long credentials of Basic": [basic("u:" + "z" * 3050)] * 4,
    "one character more each": ["z" * (400 + at) for at in range(32)],
    "many short ones": ["s " + "z" * (15 + at) + "a" + "z" * (50 - at) for at in range(32)],
    "many of Basic": [basic("u:" + "z" * (150 + at) + "a" + "z" * 180) for at in range(30)],
    "long ones that differ late": ["z" * (4000 - at) + "a" + "z" * 20 for at in range(4)],
    "the shortest": ["z" * 8],
}


@pytest.mark.parametrize("values", WORST_SECRETS.values(), ids=WORST_SECRETS)
def test_the_worst_secrets_and_responses_take_no_time(values: list[str]) -> None:
    used = Credentials(SECRET, None, headers_of(*values))
    echoed = "".join(values)[:16_384]
    outcomes = [
        Outcome(response, took_ms=1)
        for response in (
            WORST_RESPONSE,
            Response(200, WORST_RESPONSE.headers, echoed, truncated=True),
            Response(200, headers_of(*["z" * 2047 + "q"] * 31), "z" * 16_383 + "q", truncated=True),
            Response(200, (), "z" * 16_384, truncated=True),
        )
    ]
    began = time.thread_time()

    for outcome in outcomes * 5:
        redact(outcome, used)

    assert time.thread_time() - began < 0.5  # seconds; it took up to 40, and takes 0.03


def test_what_cannot_be_searched_within_the_bounds_is_hidden_as_a_whole() -> None:
    used = Credentials(SECRET, None, headers_of(*LONG_BEGINNINGS))
    echo = Response(200, headers_of("short", *LONG_BEGINNINGS * 2), "".join(LONG_BEGINNINGS))

    shown = redact(Outcome(echo, took_ms=1), used).result

    assert isinstance(shown, Response)
    assert shown.body == HIDDEN
    assert {value for _, value in shown.headers} <= {"short", HIDDEN}


def test_the_most_headers_hide_nothing_else_of_the_largest_response() -> None:
    tokens = [base64.b64encode(bytes([at, at * 7 % 256] * 150)).decode() for at in range(32)]
    used = Credentials(SECRET, None, headers_of(*(f"Bearer {token}" for token in tokens)))
    text = "".join(f'{{"line": {at}, "of": "a long text"}}\n' for at in range(400))
    fields = headers_of(*["a value of a usual length"] * 90)
    outcome = Outcome(Response(200, fields, text + tokens[7] + text[:1000]), took_ms=1)

    shown = redact(outcome, used).result

    assert shown == Response(200, fields, text + HIDDEN + text[:1000])


def test_a_secret_that_is_cut_off_with_the_value_of_a_header_is_hidden() -> None:
    token = "t0k3n-" * 400
    used = Credentials(SECRET, None, headers_of(f"Bearer {token}"))
    value = f"you said {token}"[:LONGEST_HEADER_VALUE]

    shown = redact(Outcome(Response(200, (("x", value),), ""), took_ms=1), used).result

    assert shown == Response(200, (("x", f"you said {HIDDEN}"),), "")


def test_a_whole_secret_at_the_end_is_hidden_though_its_end_looks_like_a_beginning() -> None:
    used = Credentials("test-0123456789-test")
    response = Response(200, (), "you said test-0123456789-test", truncated=True)

    shown = redact(Outcome(response, took_ms=1), used).result

    assert isinstance(shown, Response)
    assert shown.body == f"you said {HIDDEN}"
