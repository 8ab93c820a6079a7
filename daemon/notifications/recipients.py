"""The addresses that a notice is mailed to: the webhook's own, or else the administrators'."""

from collections.abc import Sequence
from dataclasses import dataclass
from email.headerregistry import Address

from daemon.core.model.notices import LeasedNotice
from daemon.core.policy.email_addresses import parse_address


@dataclass(frozen=True, slots=True)
class Recipients:
    """`are_administrators` says that they may run SQL and commands."""

    addresses: Sequence[Address]
    are_administrators: bool


def recipients_of(notice: LeasedNotice, administrators: Sequence[Address]) -> Recipients:
    """The webhook's own address if it has a usable one, else the administrators (maybe none)."""
    own = _own_address(notice)
    if own is None:
        return Recipients(administrators, are_administrators=True)
    return Recipients([own], are_administrators=False)


def _own_address(notice: LeasedNotice) -> Address | None:
    """Without its display name, which the customer chose."""
    if not notice.notification_email:
        return None
    try:
        own = parse_address(notice.notification_email)
    except ValueError:
        return None
    return Address(username=own.username, domain=own.domain)
