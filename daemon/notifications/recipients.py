"""
The addresses that a notice is mailed to: the webhook's own, or else the administrators'.

An address that a caller of the API entered is mailed only if operators allow it or its owner has
confirmed it. Until then the notice goes to the administrators, as if there were no address.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from email.headerregistry import Address

from daemon.core.model.ids import TenantId
from daemon.core.model.notices import LeasedNotice
from daemon.core.policy.email_addresses import parse_address
from daemon.core.policy.mail_recipients import (
    AllowedRecipients,
    needs_confirmation,
    recipient_key,
)
from daemon.store.mail_recipients import ADMINISTRATORS


@dataclass(frozen=True, slots=True)
class Recipients:
    """
    `key` identifies the recipients whose notices share a mail.

    `are_administrators` says that they may run SQL and commands.
    """

    key: str
    addresses: Sequence[Address]
    are_administrators: bool


@dataclass(frozen=True, slots=True)
class RecipientPolicy:
    """`administrators` get the notices of webhooks without a usable address of their own."""

    administrators: Sequence[Address]
    allowed: AllowedRecipients

    def recipients_of(self, notice: LeasedNotice) -> Recipients:
        """The webhook's own address if it may be mailed, else the administrators (maybe none)."""
        own = _own_address(notice)
        if own is None or self._is_unconfirmed(own, notice):
            return Recipients(ADMINISTRATORS, self.administrators, are_administrators=True)
        if [recipient_key(each) for each in self.administrators] == [recipient_key(own)]:
            # One person: two streams would be twice the mails.
            return Recipients(ADMINISTRATORS, self.administrators, are_administrators=True)
        return Recipients(recipient_key(own), [own], are_administrators=False)

    def _is_unconfirmed(self, own: Address, notice: LeasedNotice) -> bool:
        return needs_confirmation(own, notice.unconfirmed_email) and not self.allowed.allow(own)


def tenants_of(to: Recipients, notices: Collection[LeasedNotice]) -> frozenset[TenantId]:
    """The tenants who chose this recipient; none for the administrators."""
    return frozenset() if to.are_administrators else frozenset(n.tenant_id for n in notices)


def has_unusable_address(notice: LeasedNotice) -> bool:
    """Whether the application has written an address that no mail server accepts."""
    return bool(notice.notification_email) and _own_address(notice) is None


def _own_address(notice: LeasedNotice) -> Address | None:
    """Without its display name, which the customer chose."""
    if not notice.notification_email:
        return None
    try:
        own = parse_address(notice.notification_email)
    except ValueError:
        return None
    return Address(username=own.username, domain=own.domain)
