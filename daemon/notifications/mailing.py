"""
Mailing of one leased notice, and the record of the outcome in the database.

An accepted email is recorded at once. An outcome that cannot be recorded while the lease lasts is
lost, and the notice is mailed a second time, with the same Message-ID.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from email.headerregistry import Address
from typing import TypeVar

import structlog

from daemon.core.errors import DatabaseUnavailableError, MailError
from daemon.core.model.notices import LeasedNotice
from daemon.notifications.email import EmailSettings, render_email
from daemon.notifications.recipients import recipients_of
from daemon.notifications.smtp_session import RefusedRecipient, SmtpSession
from daemon.notifications.timing import Timing
from daemon.runtime.metrics import Metrics
from daemon.store import notice_results
from daemon.store.database import Database
from daemon.store.session import Connection

log = structlog.get_logger()

# The first tries wait for a recipient that is refused for the time being; later ones do without it.
TRIES_TO_ALL_RECIPIENTS = 4
NO_RECIPIENT = "neither the webhook nor notifications.to names an address"

T = TypeVar("T")


class Mailing:
    """
    Mails notices one by one; `administrators` get those of webhooks without an address.

    `lease_ends_at` is a time on the event loop's clock.
    """

    def __init__(
        self,
        database: Database,
        settings: EmailSettings,
        *,
        administrators: Sequence[Address],
        metrics: Metrics,
        timing: Timing,
    ) -> None:
        self._database = database
        self._settings = settings
        self._administrators = administrators
        self._metrics = metrics
        self._timing = timing

    def has_recipient(self, notice: LeasedNotice) -> bool:
        """Whether any usable address is known for the notice."""
        return bool(recipients_of(notice, self._administrators).addresses)

    async def mail(
        self, session: SmtpSession, notice: LeasedNotice, *, lease_ends_at: float
    ) -> None:
        """Send the notice's email and record the outcome."""
        to = recipients_of(notice, self._administrators)
        if notice.notification_email and to.are_administrators:
            log.warning("notice.address_unusable", **_log_keys(notice))
        email = render_email(
            notice, self._settings, to=to.addresses, for_administrators=to.are_administrators
        )
        to_all = notice.tries < TRIES_TO_ALL_RECIPIENTS
        try:
            refused = await session.send(email, to_all=to_all)
        except MailError as error:
            await self.record_failure(notice, error, lease_ends_at=lease_ends_at)
        else:
            await self._record_sent(notice, refused, lease_ends_at=lease_ends_at)

    async def record_failure(
        self, notice: LeasedNotice, error: MailError, *, lease_ends_at: float
    ) -> None:
        """Schedule the next try, or give the notice up if no retry can help or it is too old."""
        self._metrics.notifications.mails_failed.inc()
        reason = str(error)
        wait = self._timing.wait_after(notice.tries + 1)
        max_age = self._timing.max_age
        if error.permanent:
            await self._give_up(notice, reason, lease_ends_at=lease_ends_at)
            retried = False
        else:
            retried = await self._record(
                lambda db: notice_results.retry_later(
                    db, notice, error=reason, wait=wait, max_age=max_age
                ),
                lease_ends_at=lease_ends_at,
            )
        if retried:
            retry_in_s = wait.total_seconds()
            log.warning(
                "notice.not_mailed", **_log_keys(notice), reason=reason, retry_in_s=retry_in_s
            )
        else:
            log.error("notice.given_up", **_log_keys(notice), reason=reason)

    async def give_up_without_recipient(
        self, notice: LeasedNotice, *, lease_ends_at: float
    ) -> None:
        """Record that no address is known for the notice."""
        await self._give_up(notice, NO_RECIPIENT, lease_ends_at=lease_ends_at)
        log.warning("notice.recipient_missing", **_log_keys(notice))

    async def _record_sent(
        self, notice: LeasedNotice, refused: Sequence[RefusedRecipient], *, lease_ends_at: float
    ) -> None:
        self._metrics.notifications.mails_sent.inc()
        remark = "; ".join(f"{each.address}: {each.reason}" for each in refused) or None
        held_lease = await self._record(
            lambda db: notice_results.mark_sent(db, notice, remark=remark),
            lease_ends_at=lease_ends_at,
        )
        keys = _log_keys(notice)
        if not held_lease:
            log.warning("notice.lease_lost", **keys)
        for each in refused:
            log.error("notice.address_refused", **keys, address=each.address, reason=each.reason)
        log.info("notice.mailed", **keys, tries=notice.tries + 1)

    async def _give_up(self, notice: LeasedNotice, reason: str, *, lease_ends_at: float) -> None:
        await self._record(
            lambda db: notice_results.give_up(db, notice, error=reason),
            lease_ends_at=lease_ends_at,
        )

    async def _record(
        self, change: Callable[[Connection], Awaitable[T]], *, lease_ends_at: float
    ) -> T:
        """
        Run `change` in a transaction, and again while the database is unavailable.

        Raises DatabaseUnavailableError once the lease has ended.
        """
        while True:
            try:
                async with self._database.transaction() as db:
                    return await change(db)
            except DatabaseUnavailableError:
                if asyncio.get_running_loop().time() > lease_ends_at:
                    raise
            await asyncio.sleep(self._timing.poll_seconds)


def _log_keys(notice: LeasedNotice) -> dict[str, object]:
    return {
        "notice_id": notice.id,
        "kind": notice.kind.value,
        "webhook_id": str(notice.webhook_id),
    }
