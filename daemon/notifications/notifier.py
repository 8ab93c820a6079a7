"""
The notifier: mails each notice once, to its webhook's own address or else to the administrators.

Letters are handed over beside the loop's turns, because a mail server may take its time, and are
stored as sent one by one. What is not known to be sent when we die is sent again by whoever leases
it next; its Message-ID is the same.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from email.headerregistry import Address
from typing import TypeVar

import structlog

from daemon.core.errors import DatabaseUnavailableError, MailError
from daemon.core.model.notices import DueNotice
from daemon.core.policy.email_addresses import parse_address
from daemon.notifications.email import EmailSettings, render_email
from daemon.notifications.smtp import Mailer, Refused, Session
from daemon.runtime.metrics import Metrics
from daemon.store import notices
from daemon.store.database import Database
from daemon.store.session import Connection

log = structlog.get_logger()

AT_ONCE = 10
# Older than this it is no news; nor is what lay there when mail was first configured.
NEWS_FOR = timedelta(days=1)
# Given to the letter under way when the daemon is told to stop.
LAST_LETTER_SECONDS = 2.0
# So often a letter waits for an address that is refused for the time being.
PATIENT_TRIES = 4
UNADDRESSED = "neither the webhook nor notifications.to names an address"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a notice is held, and how long it waits after each try; the last wait repeats."""

    rest_seconds: float = 1.0  # between two looks
    lease: timedelta = timedelta(minutes=3)
    waits: tuple[timedelta, ...] = tuple(timedelta(seconds=s) for s in (30, 60, 120, 300, 900))

    def wait_after(self, tries: int) -> timedelta:
        """How long to wait after so many tries, the one just made included."""
        return self.waits[min(tries, len(self.waits)) - 1]


class Notifier:
    """The loop; `close` it after its last turn. `to` are the administrators' addresses."""

    name = "notifier"

    def __init__(
        self,
        database: Database,
        mailer: Mailer,
        head: EmailSettings,
        *,
        to: Sequence[Address],
        metrics: Metrics,
        timing: Timing | None = None,
    ) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._mailer = mailer
        self._head = head
        self._to = to
        self._metrics = metrics
        self._timing = timing or Timing()
        self._waiting: deque[DueNotice] = deque()  # leased, and not begun
        self._leased_at = 0.0
        self._closing = False
        self._mailing: asyncio.Task[None] | None = None

    async def run_once(self) -> float:
        if self._mailing is None:
            await self._lease()
            if not self._waiting:
                return self._timing.rest_seconds
            self._mailing = asyncio.create_task(self._mail())
        await asyncio.wait([self._mailing], timeout=self._timing.rest_seconds)
        if not self._mailing.done():
            return 0.0
        mailed, self._mailing = self._mailing, None
        try:
            mailed.result()  # its fault is this turn's
        finally:
            await self._release()
        return self._timing.rest_seconds

    async def close(self) -> None:
        """Let the letter under way finish, but not for long; a lease that is left will lapse."""
        self._closing = True
        if self._mailing is None:
            return
        await asyncio.wait([self._mailing], timeout=LAST_LETTER_SECONDS)
        self._mailing.cancel()
        await asyncio.gather(self._mailing, return_exceptions=True)
        with suppress(TimeoutError, DatabaseUnavailableError):
            async with asyncio.timeout(LAST_LETTER_SECONDS):
                await self._release()

    async def _lease(self) -> None:
        self._leased_at = asyncio.get_running_loop().time()
        async with self._database.connection() as db:
            leased = await notices.lease_due(
                db, limit=AT_ONCE, lease=self._timing.lease, not_older=NEWS_FOR
            )
        self._waiting.extend(leased)

    async def _release(self) -> None:
        held, self._waiting = self._waiting, deque()  # ours no longer, even if this should fail
        if held:
            async with self._database.connection() as db:
                await notices.release(db, held)

    async def _mail(self) -> None:
        await self._set_aside_unaddressed()
        if not self._waiting:
            return
        try:
            async with self._mailer.session() as session:
                while self._waiting and self._may_begin():
                    await self._post(session, self._waiting.popleft())
                    if not session.is_open:
                        break
        except MailError as error:  # of the session: it befalls every letter alike
            while self._waiting:
                await self._failed(self._waiting.popleft(), error)

    def _may_begin(self) -> bool:
        """Whether a letter that is begun now will have ended before its lease does."""
        held = asyncio.get_running_loop().time() - self._leased_at
        left = self._timing.lease.total_seconds() - held
        return not self._closing and left > 2 * self._mailer.letter_seconds

    async def _set_aside_unaddressed(self) -> None:
        for notice in [each for each in self._waiting if not self._addresses_of(each)]:
            self._waiting.remove(notice)
            await self._give_up(notice, UNADDRESSED)
            log.warning("notice.unaddressed", **_named(notice))

    def _addresses_of(self, notice: DueNotice) -> Sequence[Address]:
        """The webhook's own address, when it has one that can be used; else the operators'."""
        own = _own_address(notice)
        return self._to if own is None else [own]

    async def _post(self, session: Session, notice: DueNotice) -> None:
        to = self._addresses_of(notice)
        if notice.notification_email and to is self._to:
            log.warning("notice.address_unusable", **_named(notice))
        letter = render_email(notice, self._head, to=to, operators=to is self._to)
        try:
            refused = await session.post(letter, to_all=notice.tries < PATIENT_TRIES)
        except MailError as error:
            await self._failed(notice, error)
        else:
            await self._sent(notice, refused)

    async def _sent(self, notice: DueNotice, refused: Sequence[Refused]) -> None:
        self._metrics.notifications.mails_sent.inc()
        remark = "; ".join(f"{each.address}: {each.reason}" for each in refused) or None
        ours = await self._store(lambda db: notices.sent(db, notice, remark=remark))
        if not ours:
            log.warning("notice.lease_lost", **_named(notice))
        for each in refused:
            told = _named(notice) | {"address": each.address, "reason": each.reason}
            log.error("notice.address_refused", **told)
        log.info("notice.mailed", **_named(notice), tries=notice.tries + 1)

    async def _failed(self, notice: DueNotice, error: MailError) -> None:
        self._metrics.notifications.mails_failed.inc()
        reason, again = str(error), False
        wait = self._timing.wait_after(notice.tries + 1)
        if error.for_good:
            await self._give_up(notice, reason)
        else:
            again = await self._store(
                lambda db: notices.failed(db, notice, error=reason, wait=wait, not_older=NEWS_FOR)
            )
        if again:
            log.warning(
                "notice.not_mailed",
                **_named(notice),
                reason=reason,
                retry_in_s=wait.total_seconds(),
            )
        else:
            log.error("notice.given_up", **_named(notice), reason=reason)

    async def _give_up(self, notice: DueNotice, reason: str) -> None:
        await self._store(lambda db: notices.give_up(db, notice, error=reason))

    async def _store(self, change: Callable[[Connection], Awaitable[T]]) -> T:
        """Also when the database is away for a moment: what it does not know is sent twice."""
        lapses = self._leased_at + self._timing.lease.total_seconds()
        while True:
            try:
                async with self._database.transaction() as db:
                    return await change(db)
            except DatabaseUnavailableError:
                if asyncio.get_running_loop().time() > lapses:
                    raise
            await asyncio.sleep(self._timing.rest_seconds)


def _own_address(notice: DueNotice) -> Address | None:
    """Without its display name, which is a customer's words."""
    if not notice.notification_email:
        return None
    try:
        own = parse_address(notice.notification_email)
    except ValueError:
        return None
    return Address(username=own.username, domain=own.domain)


def _named(notice: DueNotice) -> dict[str, object]:
    return {
        "notice_id": notice.id,
        "kind": notice.kind.value,
        "webhook_id": str(notice.webhook_id),
    }
