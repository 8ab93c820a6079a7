"""An address is accepted only if every mail server accepts it."""

from email.headerregistry import Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.policy.email_addresses import LONGEST, LONGEST_ENTERED, parse_address


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("ops@example.com", Address("", "ops", "example.com")),
        ("root@localhost", Address("", "root", "localhost")),
        (" Ops <ops+hooks@example.com> ", Address("Ops", "ops+hooks", "example.com")),
        ('"Ops, Team" <ops@example.com>', Address("Ops, Team", "ops", "example.com")),
        ("Ops שלום <ops@münchen.example>", Address("Ops שלום", "ops", "xn--mnchen-3ya.example")),
        ("o'neil@EXAMPLE.com", Address("", "o'neil", "EXAMPLE.com")),
    ],
)
def test_an_address_is_parsed_with_and_without_a_name(text: str, read: Address) -> None:
    assert parse_address(text) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ops",
        "@example.com",
        "ops@",
        "ops@exa mple.com",
        "ops@-example.com",
        "ops@example..com",
        ".ops@example.com",
        "ops@example.com, eve@example.com",
        "ops@example.com eve@example.com",
        "ops@example.com>",
        "<ops@example.com",
        "Ops ops@example.com>",
        "ops@example.com\r\nBcc: eve@example.com",
        "Ops\r\nBcc: eve@example.com <ops@example.com>",
        "Ops <ops@example.com> <eve@example.com>",
        "Ops <eve@example.com>ops@example.com",
        "alice@example.org)bob@evil.example",  # CVE-2023-27043
        '"o p s"@example.com',
        "öps@example.com",
        "ops@[127.0.0.1]",
        "ops:eve@example.com;",
        f"{'o' * 65}@example.com",
        f"ops@{'e' * 64}.com",
        f"ops@{'example.' * 40}com",
        "ops@\u2028.example",
    ],
)
def test_an_address_that_some_mail_servers_reject_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is not an email address"):
        parse_address(text)


@given(st.text() | st.from_regex(r"[\w<>\"@., \r\n()-]{0,40}", fullmatch=True))
def test_an_accepted_address_is_a_single_line_of_ascii(text: str) -> None:
    try:
        read = parse_address(text)
    except ValueError:
        return

    assert read.addr_spec.isascii()
    assert read.addr_spec.isprintable()
    assert not set(read.addr_spec) & set(' ,;<>()"')
    assert read.display_name.isprintable()


def test_an_address_and_its_name_have_320_characters_at_most() -> None:
    address = f"{'o' * 64}@{'e' * 61}.{'e' * 63}.{'e' * 63}"
    name = "N" * (LONGEST_ENTERED - len(address) - 3)

    assert len(address) == LONGEST
    assert parse_address(f"{name} <{address}>").display_name == name
    with pytest.raises(ValueError, match="it is too long"):
        parse_address(f"N{name} <{address}>")
    with pytest.raises(ValueError, match="it is too long"):
        parse_address(f"{'o' * 64}@{'e' * 62}.{'e' * 63}.{'e' * 63}")
