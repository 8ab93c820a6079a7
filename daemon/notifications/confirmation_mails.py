"""
Mails that ask the owner of an address to confirm it.

Nothing in such a mail was written by the tenant who entered the address: its reader may be a
stranger. The code exists in the mail only; its hash is stored before the mail is sent.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_urlsafe

import structlog

from daemon.core.errors import MailError
from daemon.core.model.confirmations import LeasedConfirmation
from daemon.core.model.ids import TenantId
from daemon.core.model.notices import Email
from daemon.notifications.email import EmailSettings, render_confirmation
from daemon.notifications.outgoing import Share
from daemon.notifications.records import Records
from daemon.notifications.smtp_session import RefusedRecipient
from daemon.notifications.timing import Timing
from daemon.runtime.metrics import Metrics
from daemon.store import email_confirmations
from daemon.store.session import Connection

log = structlog.get_logger()

CODE_BYTES = 24


@dataclass(frozen=True, slots=True)
class ConfirmationMailContext:
    """Shared by all these mails; `page_url` is the page that takes the code."""

    records: Records
    settings: EmailSettings
    metrics: Metrics
    timing: Timing
    page_url: str


@dataclass(frozen=True, slots=True)
class ConfirmationMail:
    """The mail to one address."""

    request: LeasedConfirmation
    context: ConfirmationMailContext

    @property
    def tenants(self) -> Collection[TenantId]:
        return (self.request.tenant_id,)

    @property
    def to_all(self) -> bool:
        return True

    async def render(self, *, lease_ends_at: float) -> Email | None:
        code, valid_for = token_urlsafe(CODE_BYTES), self.context.timing.code_valid_for
        code_hash = sha256(code.encode()).digest()
        held_lease = await self.context.records.write(
            lambda db: email_confirmations.set_code(
                db, self.request, code_hash, valid_for=valid_for
            ),
            lease_ends_at=lease_ends_at,
        )
        if not held_lease:
            return None
        return render_confirmation(
            self.request,
            self.context.settings,
            code=code,
            page_url=self.context.page_url,
            valid_for=valid_for,
        )

    async def record_sent(
        self,
        refused: Sequence[RefusedRecipient],  # noqa: ARG002  there is one recipient, which got it
        *,
        lease_ends_at: float,
    ) -> None:
        self.context.metrics.notifications.confirmations_sent.inc()
        await self._end(lease_ends_at=lease_ends_at)
        log.info("confirmation.mailed", tenant_id=str(self.request.tenant_id))

    async def record_failure(self, error: MailError, *, lease_ends_at: float) -> None:
        self.context.metrics.notifications.mails_failed.inc()
        keys = {"tenant_id": str(self.request.tenant_id), "reason": str(error)}
        if error.permanent:
            await self._end(lease_ends_at=lease_ends_at)
            log.error("confirmation.given_up", **keys)
            return
        wait = self.context.timing.wait_after(self.request.tries + 1)
        await self.context.records.write(
            lambda db: email_confirmations.retry_later(db, self.request, wait=wait),
            lease_ends_at=lease_ends_at,
        )
        log.warning("confirmation.not_mailed", **keys, retry_in_s=wait.total_seconds())

    async def release(self, db: Connection) -> None:
        await email_confirmations.release(db, [self.request])

    async def _end(self, *, lease_ends_at: float) -> None:
        await self.context.records.write(
            lambda db: email_confirmations.mark_sent(db, self.request),
            lease_ends_at=lease_ends_at,
        )


class ConfirmationMails:
    """Leases requests for confirmation."""

    def __init__(self, context: ConfirmationMailContext) -> None:
        self._context = context

    async def lease(self, db: Connection, share: Share, *, limit: int) -> list[ConfirmationMail]:
        """Lease the requests of the share that are due."""
        timing = self._context.timing
        leased = await email_confirmations.lease_due(
            *(db, share.slow),
            of_these=share.is_of_slow,
            limit=limit,
            lease=timing.lease,
            max_age=timing.max_age,
        )
        return [ConfirmationMail(request, self._context) for request in leased]
