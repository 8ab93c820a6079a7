"""
One recipient's leased notices as one mail, and the record of the outcome in the database.

An accepted mail is recorded at once. An outcome that cannot be recorded while the lease lasts is
lost, and the notices are mailed a second time; the same notices have the same Message-ID.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import structlog

from daemon.core.errors import MailError
from daemon.core.model.ids import TenantId
from daemon.core.model.notices import Email, LeasedNotice
from daemon.notifications.email import EmailSettings, render_digest, render_email
from daemon.notifications.recipients import Recipients, has_unusable_address, tenants_of
from daemon.notifications.records import Records
from daemon.notifications.smtp_session import RefusedRecipient
from daemon.notifications.timing import Timing
from daemon.runtime.metrics import Metrics
from daemon.store import mail_recipients, notice_results, notices
from daemon.store.session import Connection

log = structlog.get_logger()

# The first tries wait for a recipient that is refused for the time being; later ones do without it.
TRIES_TO_ALL_RECIPIENTS = 4
NO_RECIPIENT = "neither the webhook nor notifications.to names an address"


@dataclass(frozen=True, slots=True)
class NoticeMailContext:
    """Shared by the mails of all recipients."""

    records: Records
    settings: EmailSettings
    metrics: Metrics
    timing: Timing


@dataclass(frozen=True, slots=True)
class NoticeMail:
    """The notices for one recipient, in the order in which they were written; at least one."""

    to: Recipients
    notices: Sequence[LeasedNotice]
    context: NoticeMailContext

    @property
    def tenants(self) -> Collection[TenantId]:
        return tenants_of(self.to, self.notices)

    @property
    def to_all(self) -> bool:
        return self._tries < TRIES_TO_ALL_RECIPIENTS

    async def render(self, *, lease_ends_at: float) -> Email:
        for notice in filter(has_unusable_address, self.notices):
            log.warning("notice.address_unusable", **_log_keys([notice]))
        to, settings = self.to, self.context.settings
        *earlier, last = self.notices
        if any(notice.webhook_id != last.webhook_id for notice in earlier):
            return render_digest(
                self.notices, settings, to=to.addresses, for_administrators=to.are_administrators
            )
        last = await self.context.records.write(
            lambda db: notices.with_attempts(db, last), lease_ends_at=lease_ends_at
        )
        return render_email(
            last,
            settings,
            to=to.addresses,
            for_administrators=to.are_administrators,
            earlier=earlier,
        )

    async def record_sent(
        self, refused: Sequence[RefusedRecipient], *, lease_ends_at: float
    ) -> None:
        self.context.metrics.notifications.mails_sent.inc()
        self.context.metrics.notifications.notices_merged.inc(len(self.notices) - 1)
        remark = "; ".join(f"{each.address}: {each.reason}" for each in refused) or None

        async def record(db: Connection) -> bool:
            await mail_recipients.close(db, self.to.key, wait=self.context.timing.window)
            return await notice_results.mark_sent(db, self.notices, remark=remark)

        held_lease = await self.context.records.write(record, lease_ends_at=lease_ends_at)
        keys = _log_keys(self.notices)
        if not held_lease:
            log.warning("notice.lease_lost", **keys)
        for each in refused:
            log.error("notice.address_refused", **keys, address=each.address, reason=each.reason)
        log.info("notice.mailed", **keys, tries=self._tries + 1)

    async def record_failure(self, error: MailError, *, lease_ends_at: float) -> None:
        self.context.metrics.notifications.mails_failed.inc()
        if error.permanent:
            await self._give_up(str(error), lease_ends_at=lease_ends_at)
        else:
            await self._retry_later(str(error), lease_ends_at=lease_ends_at)

    async def give_up_without_recipient(self, db: Connection) -> None:
        """Record that no address is known for the notices, within the caller's transaction."""
        await notice_results.give_up(db, self.notices, error=NO_RECIPIENT)
        log.warning("notice.recipient_missing", **_log_keys(self.notices))

    async def release(self, db: Connection) -> None:
        await notices.release(db, self.notices)
        await mail_recipients.release(db, [self.to.key])

    @property
    def _tries(self) -> int:
        return max(notice.tries for notice in self.notices)

    async def _give_up(self, reason: str, *, lease_ends_at: float) -> None:
        async def record(db: Connection) -> None:
            await mail_recipients.close(db, self.to.key, wait=self.context.timing.window)
            await notice_results.give_up(db, self.notices, error=reason)

        await self.context.records.write(record, lease_ends_at=lease_ends_at)
        log.error("notice.given_up", **_log_keys(self.notices), reason=reason)

    async def _retry_later(self, reason: str, *, lease_ends_at: float) -> None:
        timing = self.context.timing
        wait = timing.wait_after(self._tries + 1)

        async def record(db: Connection) -> list[LeasedNotice]:
            await mail_recipients.close(db, self.to.key, wait=wait)
            return await notice_results.retry_later(
                db, self.notices, error=reason, wait=wait, max_age=timing.max_age
            )

        given_up = await self.context.records.write(record, lease_ends_at=lease_ends_at)
        if given_up:
            log.error("notice.given_up", **_log_keys(given_up), reason=reason)
        if len(given_up) < len(self.notices):
            log.warning(
                "notice.not_mailed",
                **_log_keys(self.notices),
                reason=reason,
                retry_in_s=wait.total_seconds(),
            )


def _log_keys(mailed: Sequence[LeasedNotice]) -> dict[str, object]:
    """The keys of the last notice, and how many others there are."""
    last = mailed[-1]
    return {
        "notice_id": last.id,
        "kind": last.kind.value,
        "webhook_id": str(last.webhook_id),
        "notices": len(mailed),
    }
