"""
The notifier loop: leases due mails and sends each once.

Emails are sent in a task beside the loop's rounds, because a mail server may take a minute to
accept one. Tenants whose recipients take long have a loop of their own, and so delay no others.
After a crash another daemon sends the mails whose leases have expired, including one that was
accepted but not recorded.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from daemon.core.errors import DatabaseUnavailableError, MailError
from daemon.core.scheduling.slow_tenants import SlowTenants
from daemon.notifications.outgoing import MailSource, OutgoingMail, Share
from daemon.notifications.smtp import Mailer
from daemon.notifications.smtp_session import SmtpSession
from daemon.notifications.timing import Timing
from daemon.store.database import Database

BATCH_SIZE, BATCH_OF_SLOW = 10, 3
SLOW_SECONDS = 3.0  # for one mail
# Granted to the email under way when the daemon stops.
CLOSE_SECONDS = 2.0


class Notifier:
    """
    A loop; call `close` after its last round. Mails of the first source go first.

    It sends the mails of the `slow` tenants if it is `for_slow`, and all others' otherwise.
    """

    def __init__(
        self,
        database: Database,
        mailer: Mailer,
        sources: Sequence[MailSource],
        *,
        timing: Timing,
        slow: SlowTenants,
        for_slow: bool,
    ) -> None:
        self.name = "slow_notifier" if for_slow else "notifier"
        self.wake = asyncio.Event()
        self._slow = slow
        self._for_slow = for_slow
        self._database = database
        self._mailer = mailer
        self._sources = sources
        self._timing = timing
        self._leased: deque[OutgoingMail] = deque()  # and not yet being sent
        self._not_ours: list[OutgoingMail] = []  # their tenants have become slow since
        self._lease_ends_at = 0.0  # on the event loop's clock
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    async def run_once(self) -> float:
        """Lease a batch, or wait a while for the batch being sent; returns seconds to rest."""
        if self._task is None:
            share = self._share()
            if share.is_of_slow and not share.slow:
                return self._timing.poll_seconds
            await self._lease(share)
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

    def _share(self) -> Share:
        slow = self._slow.all(now=asyncio.get_running_loop().time())
        return Share(frozenset(slow), self._for_slow)

    async def _lease(self, share: Share) -> None:
        lease = self._timing.lease
        self._lease_ends_at = asyncio.get_running_loop().time() + lease.total_seconds()
        leased: list[OutgoingMail] = []
        async with self._database.transaction(durable=False) as db:
            for source in self._sources:
                limit = BATCH_OF_SLOW if share.is_of_slow else BATCH_SIZE
                leased += await source.lease(db, share, limit=limit)
        self._leased.extend(leased)

    async def _release(self) -> None:
        # Dropped first: if giving them back fails, they are left to their leases.
        leased, self._leased, self._not_ours = [*self._leased, *self._not_ours], deque(), []
        if leased:
            async with self._database.transaction(durable=False) as db:
                for mail in leased:
                    await mail.release(db)

    async def _mail_leased(self) -> None:
        lease_ends_at = self._lease_ends_at
        try:
            async with self._mailer.session() as session:
                while self._leased and self._may_begin():
                    mail = self._leased.popleft()
                    if not (self._for_slow or self._share().has(mail.tenants)):
                        self._not_ours.append(mail)
                        continue
                    await self._send_timed(session, mail)
                    if not session.is_open:
                        break
        except MailError as error:  # no session: every mail fails alike
            while self._leased:
                mail = self._leased.popleft()
                await mail.record_failure(error, lease_ends_at=lease_ends_at)

    async def _send_timed(self, session: SmtpSession, mail: OutgoingMail) -> None:
        """Send a mail, and note how long that took."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            await self._send(session, mail)
        finally:
            now = loop.time()
            for tenant_id in mail.tenants:
                self._slow.note(tenant_id, now - began, now=now)

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
