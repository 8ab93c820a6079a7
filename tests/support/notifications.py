"""Notifiers, settings of daemons that send mail, and notices in the database."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from daemon.core.outcomes.endpoint_health import HealthLimits
from daemon.core.policy.email_addresses import parse_address
from daemon.core.policy.mail_recipients import AllowedRecipients
from daemon.core.scheduling.slow_tenants import SlowTenants
from daemon.notifications.email import EmailSettings
from daemon.notifications.mail_server import MailServer
from daemon.notifications.notice_mail import NoticeMailContext
from daemon.notifications.notice_mails import NoticeMails
from daemon.notifications.notifier import SLOW_SECONDS, Notifier
from daemon.notifications.recipients import RecipientPolicy
from daemon.notifications.records import Records
from daemon.notifications.smtp import Mailer
from daemon.notifications.timing import Timing
from daemon.runtime.loop import Heartbeats, run_loop
from daemon.runtime.metrics import Metrics
from daemon.store.database import Database
from tests.support.application import Application
from tests.support.mailserver import MailHost

OPS, OWNER = "ops@example.com", "owner@customer.example"
CANARY = "c4n4ry"
DAY = timedelta(days=1)
# Without a window, each recipient is mailed as often as there is something due.
SOON = Timing(poll_seconds=0.02, window=timedelta(0), retry_waits=(timedelta(milliseconds=30),))
QUICK_STOP_SECONDS = 8.0


def mail_settings(
    host: MailHost | str, *, to: list[str] | None = None, **more: Any
) -> dict[str, Any]:
    """Return the `notifications` section of a daemon's configuration."""
    url = host if isinstance(host, str) else host.url
    return {"smtp_url": url, "from": "hooks@example.com", "to": [OPS] if to is None else to} | more


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    opened_database = Database(url, size=4)
    await opened_database.open()
    try:
        yield opened_database
    finally:
        await opened_database.close(within=timedelta(seconds=1))


@asynccontextmanager
async def notifying(
    database: Database,
    url: str,
    *,
    timing: Timing = SOON,
    to: Sequence[str] = (OPS,),
    allowed: Sequence[str] = (),
    seconds: float = 5.0,
    slow_from: float = SLOW_SECONDS,
) -> AsyncIterator[Notifier]:
    """Run both notifiers without a daemon until the block ends; yields that of quick tenants."""
    settings = EmailSettings(parse_address("hooks@example.com"), HealthLimits())
    context = NoticeMailContext(
        Records(database, poll_seconds=timing.poll_seconds), settings, Metrics(), timing
    )
    policy = RecipientPolicy([parse_address(each) for each in to], AllowedRecipients.of(allowed))
    slow = SlowTenants(slow_from=slow_from)
    quick, other = [
        Notifier(
            database,
            Mailer(MailServer.from_url(url), step_seconds=seconds, message_seconds=seconds),
            [NoticeMails(context, policy)],
            timing=timing,
            slow=slow,
            for_slow=for_slow,
        )
        for for_slow in (False, True)
    ]
    stop = asyncio.Event()
    loops = [run_loop(each, stop=stop, heartbeats=Heartbeats()) for each in (quick, other)]
    running = [asyncio.create_task(each) for each in loops]
    try:
        yield quick
    finally:
        stop.set()
        for notifier in (quick, other):
            notifier.wake.set()
        await asyncio.gather(*running)
        for notifier in (quick, other):
            await notifier.close()


async def webhook(app: Application, *, email: str | None = None, name: str = "a webhook") -> UUID:
    made = await app.webhook(await app.tenant(), "https://receiver.test/")
    await app.db.execute(
        "UPDATE webhooks SET notification_email = $2, name = $3 WHERE id = $1", made, email, name
    )
    return made


async def stored_notice(
    app: Application,
    webhook_id: UUID,
    kind: str = "webhook_failing",
    *,
    age: timedelta | None = None,
) -> int:
    """Insert a notice as the result writer does, `age` ago; return its id."""
    made: int = await app.db.fetchval(
        "INSERT INTO webhook_notices (tenant_id, webhook_id, kind, data, created_at, due_at)"
        " SELECT tenant_id, id, $2, $3, now() - $4::interval, now() - $4::interval"
        " FROM webhooks WHERE id = $1 RETURNING id",
        webhook_id,
        kind,
        '{"consecutiveFailures": 5, "statusCode": 500, "error": "the receiver answered 500"}',
        age or timedelta(),
    )
    return made


async def row_of(app: Application, notice_id: int) -> asyncpg.Record:
    return await app.db.fetchrow(
        "SELECT *, due_at = 'infinity' AS given_up, due_at > now() AS held FROM webhook_notices"
        " WHERE id = $1",
        notice_id,
    )


async def sent_count(app: Application) -> int:
    count: int = await app.db.fetchval(
        "SELECT count(*) FROM webhook_notices WHERE sent_at IS NOT NULL"
    )
    return count


async def all_sent(app: Application) -> bool:
    left: int = await app.db.fetchval("SELECT count(*) FROM webhook_notices WHERE sent_at IS NULL")
    return left == 0


async def tried(app: Application, notice_id: int, times: int) -> bool:
    return bool((await row_of(app, notice_id))["tries"] >= times)


async def given_up(app: Application, notice_id: int) -> bool:
    return bool((await row_of(app, notice_id))["given_up"])


async def at_rest(app: Application) -> bool:
    """Whether nothing is being mailed, and every unsent notice waits for a later mail."""
    resting: bool = await app.db.fetchval(
        "SELECT NOT EXISTS (SELECT FROM webhook_mail_recipients WHERE leased_until IS NOT NULL)"
        " AND NOT EXISTS (SELECT FROM webhook_notices WHERE sent_at IS NULL AND due_at <= now())"
    )
    return resting


async def end_windows(app: Application) -> None:
    """Make every recipient's ten minutes be over."""
    await app.db.execute("UPDATE webhook_mail_recipients SET next_mail_at = now()")
    await app.db.execute(
        "UPDATE webhook_notices SET due_at = now() WHERE sent_at IS NULL AND due_at < 'infinity'"
    )
