"""
The notifier loop: leases due notices and mails each once.

Emails are sent in a task beside the loop's rounds, because a mail server may take a minute to
accept one. After a crash another daemon mails the notices whose leases have expired, including one
whose email was accepted but not recorded; its Message-ID is the same.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from email.headerregistry import Address

from daemon.core.errors import DatabaseUnavailableError, MailError
from daemon.core.model.notices import LeasedNotice
from daemon.notifications.email import EmailSettings
from daemon.notifications.mailing import Mailing
from daemon.notifications.smtp import Mailer
from daemon.notifications.timing import Timing
from daemon.runtime.metrics import Metrics
from daemon.store import notices
from daemon.store.database import Database

BATCH_SIZE = 10
# Granted to the email under way when the daemon stops.
CLOSE_SECONDS = 2.0


class Notifier:
    """The loop; call `close` after its last round. `to` are the administrators' addresses."""

    name = "notifier"

    def __init__(
        self,
        database: Database,
        mailer: Mailer,
        settings: EmailSettings,
        *,
        to: Sequence[Address],
        metrics: Metrics,
        timing: Timing | None = None,
    ) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._mailer = mailer
        self._timing = timing or Timing()
        self._mailing = Mailing(
            database, settings, administrators=to, metrics=metrics, timing=self._timing
        )
        self._leased: deque[LeasedNotice] = deque()  # and not yet being mailed
        self._lease_ends_at = 0.0  # on the event loop's clock
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    async def run_once(self) -> float:
        """Lease a batch, or wait a while for the batch being mailed; returns seconds to rest."""
        if self._task is None:
            await self._lease()
            if not self._leased:
                return self._timing.poll_seconds
            self._task = asyncio.create_task(self._mail_leased())
        await asyncio.wait([self._task], timeout=self._timing.poll_seconds)
        if not self._task.done():
            return 0.0
        task, self._task = self._task, None
        try:
            task.result()  # raises the task's error in this round
        finally:
            await self._release()
        return self._timing.poll_seconds

    async def close(self) -> None:
        """Let the email under way finish within seconds, and give the other notices back."""
        self._closing = True
        if self._task is None:
            return
        await asyncio.wait([self._task], timeout=CLOSE_SECONDS)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        # Leases that cannot be given back expire.
        with suppress(DatabaseUnavailableError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._release()

    async def _lease(self) -> None:
        lease = self._timing.lease
        self._lease_ends_at = asyncio.get_running_loop().time() + lease.total_seconds()
        async with self._database.connection() as db:
            leased = await notices.lease_due(
                db, limit=BATCH_SIZE, lease=lease, max_age=self._timing.max_age
            )
        self._leased.extend(leased)

    async def _release(self) -> None:
        # Dropped first: if giving them back fails, they are left to their leases.
        leased, self._leased = self._leased, deque()
        if leased:
            async with self._database.connection() as db:
                await notices.release(db, leased)

    async def _mail_leased(self) -> None:
        await self._give_up_without_recipient()
        if not self._leased:
            return
        lease_ends_at = self._lease_ends_at
        try:
            async with self._mailer.session() as session:
                while self._leased and self._may_begin():
                    notice = self._leased.popleft()
                    await self._mailing.mail(session, notice, lease_ends_at=lease_ends_at)
                    if not session.is_open:
                        break
        except MailError as error:  # no session: every notice fails alike
            while self._leased:
                notice = self._leased.popleft()
                await self._mailing.record_failure(notice, error, lease_ends_at=lease_ends_at)

    def _may_begin(self) -> bool:
        """Whether an email that is begun now will end before its lease does."""
        left = self._lease_ends_at - asyncio.get_running_loop().time()
        return not self._closing and left > 2 * self._mailer.message_seconds

    async def _give_up_without_recipient(self) -> None:
        for notice in [each for each in self._leased if not self._mailing.has_recipient(each)]:
            self._leased.remove(notice)
            await self._mailing.give_up_without_recipient(notice, lease_ends_at=self._lease_ends_at)
