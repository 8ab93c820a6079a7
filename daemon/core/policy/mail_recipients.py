"""Addresses that may be mailed: those that operators allow, and those whose owners agreed."""

from collections.abc import Iterable
from dataclasses import dataclass
from email.headerregistry import Address

from daemon.core.policy.email_addresses import parse_address


@dataclass(frozen=True, slots=True)
class AllowedRecipients:
    """Addresses and domains that need no confirmation, in lower case."""

    addresses: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()

    @classmethod
    def of(cls, entries: Iterable[str]) -> "AllowedRecipients":
        """Read addresses (`ops@example.com`) and domains (`@example.com`). Raises ValueError."""
        given = list(entries)
        # A domain is read as that of an address, so that an international one becomes ASCII.
        domains = {recipient_key(parse_address(f"x{each}")) for each in given if _is_domain(each)}
        addresses = {recipient_key(parse_address(each)) for each in given if not _is_domain(each)}
        return cls(frozenset(addresses), frozenset(each.partition("@")[2] for each in domains))

    def allow(self, address: Address) -> bool:
        """Whether the address needs no confirmation; subdomains of an allowed domain do."""
        key = recipient_key(address)
        return key in self.addresses or key.rpartition("@")[2] in self.domains


def recipient_key(address: Address) -> str:
    """The address in lower case, without its display name: one person's, however it is written."""
    return address.addr_spec.lower()


def mailbox_key(address: Address) -> str:
    """The recipient without `+tag` and dots, which many providers ignore: for limits only."""
    local, _, domain = recipient_key(address).rpartition("@")
    return f"{(local.partition('+')[0] or local).replace('.', '')}@{domain}"


def needs_confirmation(address: Address, unconfirmed: str | None) -> bool:
    """
    Whether a webhook's address waits for its owner.

    `unconfirmed` is the key of the address that the API stored. The application may have replaced
    that address since; it answers for the addresses that it writes.
    """
    return unconfirmed is not None and recipient_key(address) == unconfirmed


def _is_domain(entry: str) -> bool:
    return entry.startswith("@")
