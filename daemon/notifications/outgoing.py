"""Leased mails of any kind, and the sources that lease them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from daemon.core.errors import MailError
from daemon.core.model.ids import TenantId
from daemon.core.model.notices import Email
from daemon.notifications.smtp_session import RefusedRecipient
from daemon.store.session import Connection


@dataclass(frozen=True, slots=True)
class Share:
    """Whose mails one loop sends: those of the `slow` tenants, or all others."""

    slow: frozenset[TenantId]
    is_of_slow: bool

    def has(self, tenants: Collection[TenantId]) -> bool:
        """Whether it has the mail with notices of these tenants; none: of the administrators."""
        return (bool(tenants) and self.slow.issuperset(tenants)) == self.is_of_slow


class OutgoingMail(Protocol):
    """A leased mail; `lease_ends_at` is a time on the event loop's clock."""

    @property
    def tenants(self) -> Collection[TenantId]:
        """Those who chose the recipient; none where the operator did."""

    @property
    def to_all(self) -> bool:
        """Whether a recipient that is refused for the time being holds it back from the others."""

    async def render(self, *, lease_ends_at: float) -> Email | None:
        """The mail; None when the lease was lost."""

    async def record_sent(
        self, refused: Sequence[RefusedRecipient], *, lease_ends_at: float
    ) -> None:
        """Record that the mail server accepted it, but for these recipients."""

    async def record_failure(self, error: MailError, *, lease_ends_at: float) -> None:
        """Schedule the next try, or give it up if no retry can help or it is too old."""

    async def release(self, db: Connection) -> None:
        """Give the lease back; the mail is due again at once."""


class MailSource(Protocol):
    """Leases mails of one kind."""

    async def lease(self, db: Connection, share: Share, *, limit: int) -> Sequence[OutgoingMail]:
        """Lease up to `limit` mails of the share that are due, within the caller's transaction."""
