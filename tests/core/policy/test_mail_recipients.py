"""Which addresses need no confirmation, and which addresses are one person's."""

import pytest

from daemon.core.policy.email_addresses import parse_address
from daemon.core.policy.mail_recipients import (
    AllowedRecipients,
    mailbox_key,
    needs_confirmation,
    recipient_key,
)

ALLOWED = AllowedRecipients.of(["Ops <ops@Example.com>", "@corp.example", "@bücher.example"])


@pytest.mark.parametrize(
    "address",
    [
        *("ops@example.com", "OPS@EXAMPLE.COM", "Someone <ops@example.com>"),
        *("anyone@corp.example", "Any.One+x@CORP.example", "a@bücher.example"),
        "a@xn--bcher-kva.example",
    ],
)
def test_an_allowed_address_is_allowed_however_it_is_written(address: str) -> None:
    assert ALLOWED.allow(parse_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("eve@example.com", "ops+x@example.com", "ops@sub.example.com", "a@sub.corp.example"),
        *("a@corp.example.evil.example", "a@evilcorp.example", "corp.example@evil.example"),
    ],
)
def test_every_other_address_is_not(address: str) -> None:
    assert not ALLOWED.allow(parse_address(address))
    assert not AllowedRecipients().allow(parse_address(address))


@pytest.mark.parametrize("entry", ["", "@", "nobody", "@a@b", "*@example.com, x", "@exa mple"])
def test_an_entry_that_is_neither_an_address_nor_a_domain_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="is not an email address"):
        AllowedRecipients.of([entry])


def test_one_person_s_addresses_have_one_key_and_one_mailbox() -> None:
    keys = {recipient_key(parse_address(each)) for each in ("A <ops@x.example>", "OPS@X.example")}
    mailboxes = {
        mailbox_key(parse_address(each)) for each in ("ops@x.example", "O.ps+hooks+2@x.example")
    }

    assert keys == {"ops@x.example"}
    assert mailboxes == {"ops@x.example"}
    assert mailbox_key(parse_address("+x@x.example")) == "+x@x.example"


def test_an_address_needs_confirmation_only_while_it_is_the_one_that_the_api_stored() -> None:
    address = parse_address("Ops <OPS@x.example>")

    assert needs_confirmation(address, "ops@x.example")
    assert not needs_confirmation(address, "eve@x.example")
    assert not needs_confirmation(address, None)
