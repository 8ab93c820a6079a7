"""No mail program makes a link of a name, and nothing in it is invisible or reorders text."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.notifications.email import render_digest
from daemon.notifications.email.formats import LONGEST_NAME, name_text
from tests.support.emails import NOTICE, OPS, SETTINGS, body, email_of, parsed

# As mail programs recognise links: a scheme, a name with a top-level domain, an address.
LINK = re.compile(
    r"[a-z][a-z0-9+-]{1,30}:\S|\w[.\u2024\u3002\ufe52\uff0e\uff61][^\W\d]|\S@\S"
    r"|[0-9]+\.[0-9]+\.[0-9]+\.[0-9]",
    re.IGNORECASE,
)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "http://evil.example/x",
            "HTTPS://evil.example",
            "see evil.example/login now",
            "evil.com",
        ),
        *("www.evil.com:80", "eve@evil.com", "mailto:eve@evil", "tel:+4930123", "1.2.3.4/x"),
        *("evil\u200b.com", "evil.\u200bcom", "evil\u3002com", "evil\uff0ecom", "evil\u2024com"),
        *("javascript:alert(1)", "evil.рф", "ev\u00adil.com", "evil.\u200dcom", "a.b.c.d"),
        *("0A0:0", "1http://evil", f"{'a' * 40}:b"),
    ],
)
def test_what_looks_like_a_link_is_broken(name: str) -> None:
    assert LINK.search(name.translate({0x200B: None, 0xAD: None, 0x200D: None}))

    assert not LINK.search(name_text(name))
    for rendered in (
        email_of(replace(NOTICE, webhook_name=name)),
        render_digest(
            [replace(NOTICE, webhook_name=name), replace(NOTICE, webhook_id=NOTICE.tenant_id)],  # type: ignore[arg-type]
            SETTINGS,
            to=[OPS],
            for_administrators=False,
        ),
    ):
        assert name not in str(parsed(rendered)["Subject"])
        assert name not in body(rendered, "plain")


@pytest.mark.parametrize(
    "name",
    [
        *("CRM Contact Sync", "CRM 2.0", "v1.2.3", "Sync (EU), 12:30 & daily", "a/b-c_d #1"),
        *("שלום עולם", "می‌خواهم", "👩‍👩‍👧‍👦 family", "配信。", "O'Neil & Söhne", "100 % done."),
    ],
)
def test_an_ordinary_name_is_unchanged(name: str) -> None:
    assert name_text(name) == name


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=400))
def test_any_name_becomes_one_short_line_without_links(name: str) -> None:
    shown = name_text(name)

    assert len(shown) <= LONGEST_NAME
    assert not LINK.search(shown)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f]", shown)
