"""Secrets are not written: by key, in URLs, in text from outside."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon import logs
from tests.logs.rendering import CANARY, Render


@pytest.mark.parametrize(
    "key",
    ["secret", "secret_key", "previous_secret", "Authorization", "token", "admin_tokens",
     "password", "PGPASSWORD", "api_key", "master_keys", "X-PenguinMails-Signature", "set-cookie"],
)  # fmt: skip
def test_a_value_whose_key_names_a_secret_is_hidden(key: str, render: Render) -> None:
    shown = json.dumps(render(**{key: CANARY, "headers": {key: [CANARY]}}))

    assert CANARY not in shown
    assert shown.count("[hidden]") == 2


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"https://h.example/p?q={CANARY}", "https://h.example/p"),
        (f"https://u:{CANARY}@h.example:8443/p#{CANARY}", "https://h.example:8443/p"),
        (f"https://h.example/@me?q={CANARY}@x", "https://h.example/@me"),
        (f"postgresql://u:{CANARY}@[::1]:5432/d?password={CANARY}", "postgresql://[::1]:5432/d"),
        (f"postgres://u:{CANARY}@h1:1,h2:2/d", "postgres://h1:1,h2:2/d"),
        (f"cannot reach smtp://u:{CANARY}@h, giving up", "cannot reach smtp://h, giving up"),
        (f'to "https://a/?{CANARY}" and <https://b/?{CANARY}>', 'to "https://a/" and <https://b/>'),
        (f"https://u:{CANARY}/x@h/", "https://[hidden]"),
        (f"postgresql://u:{CANARY}?x@h/d", "postgresql://[hidden]"),
        (f"{'x' * 40}://u:{CANARY}@h", f"{'x' * 40}://h"),
        (f"://u:{CANARY}@h", "://h"),
        (f"postgresql://h/d?password=x@{CANARY}", "postgresql://[hidden]"),
    ],
)
def test_urls_are_written_without_user_password_query_and_fragment(
    text: str, shown: str, render: Render
) -> None:
    fields = render(text, error=text, nested=[text], raised=OSError(text))

    assert fields["event"] == fields["error"] == shown
    assert fields["nested"] == [shown]
    assert fields["raised"] == f"OSError: {shown}"


@given(st.text("ab1@:/?#[]%,&=", max_size=8), st.text("ab1@:/?#[]%,&=", max_size=8))
def test_no_database_password_is_written_however_malformed_the_url_is(
    front: str, back: str
) -> None:
    shown = logs.without_secrets(f"postgresql://user:{front}{CANARY}{back}@h:5432/d")

    assert CANARY not in shown


def test_a_long_hostile_text_is_redacted_in_linear_time() -> None:
    text = "x" * 200_000 + "://h" + ":/" * 100_000 + "@" * 100_000
    began = time.process_time()

    logs.without_secrets(text)

    assert time.process_time() - began < 2  # tens of milliseconds; quadratic time would be minutes


def test_a_path_whose_key_names_a_url_loses_its_query(render: Render) -> None:
    assert render(url=f"/api/x?token={CANARY}", redirect_uri=None)["url"] == "/api/x"


@pytest.mark.parametrize(
    "text", ["a\r\nb\x00\x1b[31m\u2028c\u202ed\ud800", "a" * 500, "", "  a  b "]
)
def test_foreign_text_becomes_one_printable_line(text: str) -> None:
    line = logs.one_line(f"{text} https://u:{CANARY}@h/?{CANARY}", longest=50)

    assert line.isprintable()
    assert len(line) <= 50
    assert CANARY not in line
