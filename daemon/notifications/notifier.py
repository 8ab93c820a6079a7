"""
The notifier loop: leases due mails and sends each once.

Emails are sent in a task beside the loop's rounds, because a mail server may take a minute to
accept one. After a crash another daemon sends the mails whose leases have expired, including one
that was accepted but not recorded.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from daemon.core.errors import DatabaseUnavailableError, MailError
from daemon.notifications.outgoing import MailSource, OutgoingMail
from daemon.notifications.smtp import Mailer
from daemon.notifications.smtp_session import SmtpSession
from daemon.notifications.timing import Timing
from daemon.store.database import Database

BATCH_SIZE = 10
# Granted to the email under way when the daemon stops.
CLOSE_SECONDS = 2.0


class Notifier:
    """The loop; call `close` after its last round. Mails of the first source go first."""

    name = "notifier"

    def __init__(
        self,
        database: Database,
        mailer: Mailer,
        sources: Sequence[MailSource],
        *,
        timing: Timing,
    ) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._mailer = mailer
        self._sources = sources
        self._timing = timing
        self._leased: deque[OutgoingMail] = deque()  # and not yet being sent
        self._lease_ends_at = 0.0  # on the event loop's clock
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    async def run_once(self) -> float:
        """Lease a batch, or wait a while for the batch being sent; returns seconds to rest."""
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
        """Let the email under way finish within seconds, and give the other mails back."""
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
        leased: list[OutgoingMail] = []
        async with self._database.transaction(durable=False) as db:
            for source in self._sources:
                leased += await source.lease(db, limit=BATCH_SIZE)
        self._leased.extend(leased)

    async def _release(self) -> None:
        # Dropped first: if giving them back fails, they are left to their leases.
        leased, self._leased = self._leased, deque()
        if leased:
            async with self._database.transaction(durable=False) as db:
                for mail in leased:
                    await mail.release(db)

    async def _mail_leased(self) -> None:
        lease_ends_at = self._lease_ends_at
        try:
            async with self._mailer.session() as session:
                while self._leased and self._may_begin():
                    await self._send(session, self._leased.popleft())
                    if not session.is_open:
                        break
        except MailError as error:  # no session: every mail fails alike
            while self._leased:
                mail = self._leased.popleft()
                await mail.record_failure(error, lease_ends_at=lease_ends_at)

    async def _send(self, session: SmtpSession, mail: OutgoingMail) -> None:
        """Send a mail and record the outcome."""
        lease_ends_at = self._lease_ends_at
        email = await mail.render(lease_ends_at=lease_ends_at)
        if email is None:
            return
        try:
            refused = await session.send(email, to_all=mail.to_all)
        except MailError as error:
            await mail.record_failure(error, lease_ends_at=lease_ends_at)
        else:
            await mail.record_sent(refused, lease_ends_at=lease_ends_at)

    def _may_begin(self) -> bool:
        """Whether an email that is begun now will end before its lease does."""
        left = self._lease_ends_at - asyncio.get_running_loop().time()
        return not self._closing and left > 2 * self._mailer.message_seconds
