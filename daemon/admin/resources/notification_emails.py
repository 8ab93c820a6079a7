"""
The addresses that callers enter for notices: accepted, refused, or to be confirmed by their owners.

The application answers for the addresses that it writes by SQL. What comes over the API may be a
customer's word about a stranger.
"""

from dataclasses import dataclass, replace
from email.headerregistry import Address

import structlog

from daemon.admin.api.problems import Problem, invalid_member
from daemon.core.model.ids import TenantId
from daemon.core.model.webhooks import WebhookEntry
from daemon.core.policy.confirmation_limits import Decision, decide
from daemon.core.policy.email_addresses import parse_address
from daemon.core.policy.mail_recipients import (
    AllowedRecipients,
    mailbox_key,
    needs_confirmation,
    recipient_key,
)
from daemon.store import email_confirmations
from daemon.store.session import Connection

log = structlog.get_logger()

LIMITS = {
    Decision.MAILBOX_LIMIT: "this mailbox was asked today: try again tomorrow",
    Decision.TENANT_LIMIT: "too many addresses were entered within the last hour: try again later",
    Decision.OVERALL_LIMIT: "too many addresses were entered within the last hour: try again later",
    Decision.UNANSWERED_LIMIT: (
        "too many addresses of this tenant are not confirmed: confirm them, or have them allowed"
    ),
}
RETRY_AFTER_SECONDS = {
    Decision.MAILBOX_LIMIT: 86_400,
    Decision.TENANT_LIMIT: 3_600,
    Decision.OVERALL_LIMIT: 3_600,
    Decision.UNANSWERED_LIMIT: 86_400,
}


@dataclass(frozen=True, slots=True)
class NotificationEmails:
    """`can_ask` says that there is a public page on which owners confirm their addresses."""

    allowed: AllowedRecipients
    can_ask: bool

    async def change(self, db: Connection, webhook: WebhookEntry, entered: str | None) -> None:
        """
        Record the address that a caller entered for a stored webhook, before it is stored.

        Raises Problem: see `record`.
        """
        if not _stands(webhook, entered):
            await self.record(db, webhook, entered)

    async def record(
        self, db: Connection, webhook: WebhookEntry, entered: str | None
    ) -> WebhookEntry:
        """
        Record the address that a caller entered for `webhook`, and ask its owner if need be.

        Within the transaction that stores the address; returns the webhook with its new state.
        Raises Problem: 422 for an address that is neither allowed nor can be asked, 429 at the
        limits of mails that ask.
        """
        unconfirmed = None
        if entered is not None:
            unconfirmed = await self._unconfirmed(db, webhook.tenant_id, parse_address(entered))
        if unconfirmed != webhook.unconfirmed_email:
            await email_confirmations.mark_unconfirmed(db, webhook.id, unconfirmed)
        return replace(webhook, unconfirmed_email=unconfirmed)

    async def _unconfirmed(
        self, db: Connection, tenant_id: TenantId, address: Address
    ) -> str | None:
        """The key of the address; None if its owner has confirmed it for this tenant before."""
        key, mailbox = recipient_key(address), mailbox_key(address)
        if self.allowed.allow(address):
            return key  # operators may withdraw what they allow
        await email_confirmations.take_lock(db, tenant_id)
        decision = decide(
            await email_confirmations.state(db, tenant_id, address=key, mailbox=mailbox)
        )
        if decision is Decision.CONFIRMED:
            await email_confirmations.use(db, tenant_id, key)
            return None
        self._require_room(decision, tenant_id)
        if decision is Decision.REQUEST:
            await email_confirmations.request(db, tenant_id, address=key, mailbox=mailbox)
        return key

    def _require_room(self, decision: Decision, tenant_id: TenantId) -> None:
        """Raises Problem if the address's owner cannot be asked, or not now."""
        if not self.can_ask:
            raise invalid_member(
                "notificationEmail",
                "is not one of notifications.allowed_recipients, and its owner cannot be asked"
                " because admin.public_url is not set",
            )
        if decision in LIMITS:
            log.warning(
                "confirmation.limited", tenant_id=str(tenant_id), limit=decision.name.lower()
            )
            sentence, seconds = LIMITS[decision], RETRY_AFTER_SECONDS[decision]
            raise Problem(
                429, f"notificationEmail: {sentence}", headers={"Retry-After": str(seconds)}
            )


def _stands(webhook: WebhookEntry, entered: str | None) -> bool:
    """Whether the address is stored already, and its owner or the application answers for it."""
    if entered is None or entered != webhook.settings.notification_email:
        return False
    return not needs_confirmation(parse_address(entered), webhook.unconfirmed_email)
