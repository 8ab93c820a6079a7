"""Text from customers and receivers cannot forge an email, and secrets in it are not shown."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daemon.core.model.notices import AttemptSummary, Email
from daemon.notifications.email.formats import LONGEST_NAME
from tests.support.emails import NOTICE, NOW, TAGS, Page, body, email_of, parsed


def test_markup_in_a_name_is_shown_as_text() -> None:
    name = "<script>alert('1')</script> & {{ 7 * 7 }}"
    rendered = email_of(replace(NOTICE, webhook_name=name, reason="<img src=x>"))

    page = Page(body(rendered, "html"))
    assert parsed(rendered)["Subject"] == f"Webhook “{name}” is failing"
    assert name in body(rendered, "plain")
    assert name in page.text
    assert "<img src=x>" in page.text
    assert page.tags <= TAGS


@pytest.mark.parametrize(
    "name", ["שלום עולם", "مرحبا", "👩‍👩‍👧‍👦 family", "Grüße, 世界", "a“b”c\\d"]
)
def test_names_in_any_script_are_unchanged(name: str) -> None:
    rendered = email_of(replace(NOTICE, webhook_name=name))

    assert parsed(rendered)["Subject"] == f"Webhook “{name}” is failing"
    assert name in body(rendered, "plain")
    assert f"<bdi>{name}</bdi>" in body(rendered, "html")


HOSTILE = [
    "x\r\nBcc: eve@example.com",
    "x\nContent-Type: text/html\n\n<b>",
    "=?utf-8?q?x=0D=0ABcc:_eve@example.com?=",
    "=?utf-8?b?eA0KQmNjOiBldmVAZXhhbXBsZS5jb20=?=",
    "x\x00\x1b[31m\u2028y\u202egnp.exe",
    "\u2066\u202e" * 50,
    "",
    " ",
    "=?" * 100,
    "é" * 255,
    "a" * 255,
    "\U0001f469\u200d" * 120,
    '"<>,;:@()[]\\',
    "\ufeff\ufffe\U0010ffff",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_adds_no_header_and_reorders_no_text(name: str) -> None:
    rendered = email_of(replace(NOTICE, webhook_name=name))

    assert_well_formed(rendered)


def assert_well_formed(rendered: Email) -> None:
    """Only our own headers, each once, and no characters that reorder text."""
    message = parsed(rendered)
    subject = str(message["Subject"])
    assert sorted(message.keys()) == [
        *("Auto-Submitted", "Content-Type", "Date", "From", "MIME-Version", "Message-ID"),
        *("Subject", "To", "X-Auto-Response-Suppress"),
    ]
    assert message.defects == []
    assert message["To"] == "Ops <ops@example.com>"
    assert subject.startswith("Webhook “")
    assert subject.endswith("” is failing")
    assert len(subject) <= LONGEST_NAME + len("Webhook “” is failing")
    for text in (subject, *body(rendered, "plain").splitlines(), Page(body(rendered, "html")).text):
        assert not set(text) & set("\r\x00\x1b\u2028\u2029\u202e\u2066")
    assert Page(body(rendered, "html")).tags <= TAGS


# Text that PostgreSQL can store: no NUL, no lone surrogates.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=400)


@example(name="a" * 60 + " é" * 40, reason="", url="")
@example(name="00000¡¡𐀀𐀀𐀀𐀀𐀀𐀀 ¡ 0", reason="", url="")
@example(name="=?utf-8?q?=0A?=", reason="=?utf-8?q?=0A?=", url="=?utf-8?q?=0A?=")
@given(name=texts, reason=texts, url=texts)
def test_an_email_is_well_formed_whatever_a_customer_wrote(
    name: str, reason: str, url: str
) -> None:
    attempt = AttemptSummary(NOW, None, None, reason)
    rendered = email_of(
        replace(
            NOTICE, webhook_name=name, reason=reason, endpoint_url=url, attempts=(attempt, attempt)
        )
    )

    assert_well_formed(rendered)
    assert parsed(rendered)["Subject"] == body(rendered, "plain").split(".\n\n", 1)[0]


def test_neither_user_nor_query_of_a_url_is_shown() -> None:
    url = "https://someone:c4n4ry@yourapp.com/hook?token=c4n4ry#c4n4ry"
    rendered = email_of(
        replace(NOTICE, endpoint_url=url, webhook_name=f"at {url}", reason=f"see {url}")
    )

    for text in all_texts(rendered):
        assert "c4n4ry" not in text
    assert "https://yourapp.com/hook" in body(rendered, "plain")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://yourapp.com/a/b", "https://yourapp.com/a/b"),
        ("https://u:c4n4ry@yourapp.com:8443/a?c4n4ry#c4n4ry", "https://yourapp.com:8443/a"),
        ("https://u<:c4n4ry@h/<b>?c4n4ry", "https://h/%3Cb%3E"),
        ("https://h/a b\r\nc?c4n4ry", "https://h/a%20b%0D%0Ac"),
        ("https://u:p#c4n4ry@h/", "https://[hidden]"),
        ("https://u:c4n4ry/x@h/", "https://[hidden]"),
        ("nothing?c4n4ry", "nothing"),
    ],
)
def test_scheme_host_and_path_of_the_endpoint_are_shown(url: str, shown: str) -> None:
    rendered = email_of(replace(NOTICE, endpoint_url=url))

    assert f"  Endpoint  {shown}\n" in body(rendered, "plain")


def all_texts(rendered: Email) -> Iterator[str]:
    yield rendered.message.decode()
    yield str(parsed(rendered)["Subject"])
    yield body(rendered, "plain")
    yield body(rendered, "html")
