"""Being told: a letter for each transition, once, whatever becomes of mail servers and daemons."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from structlog.testing import capture_logs

from daemon.core.model.notices import DueNotice, NoticeKind
from daemon.core.outcomes.health import HealthLimits
from daemon.core.policy.email_addresses import parse_address
from daemon.notifications.email import EmailSettings
from daemon.notifications.notifier import Notifier, Timing
from daemon.notifications.smtp import Mailer, MailServer
from daemon.runtime.loop import Heartbeats, run_loop
from daemon.runtime.metrics import Metrics
from daemon.store import notices
from daemon.store.database import Database
from daemon.store.session import Connection
from tests.support.application import Application
from tests.support.certificates import Authority
from tests.support.daemons import daemon, free_port, metrics_of, serving, until
from tests.support.hostile import hostile, silent
from tests.support.mailserver import MailHost, mail_host
from tests.support.receiver import Received, Receiver, Reply

OPS, OWNER = "ops@example.com", "owner@customer.example"
CANARY = "c4n4ry"
DAY = timedelta(days=1)
SOON = Timing(rest_seconds=0.02, waits=(timedelta(milliseconds=30),))
QUICK_STOP_SECONDS = 8.0


def mail(host: MailHost | str, *, to: list[str] | None = None, **more: Any) -> dict[str, Any]:
    """The settings of a daemon that tells."""
    url = host if isinstance(host, str) else host.url
    return {"smtp_url": url, "from": "hooks@example.com", "to": [OPS] if to is None else to} | more


@asynccontextmanager
async def opened(database: str) -> AsyncIterator[Database]:
    it = Database(database, size=4)
    await it.open()
    try:
        yield it
    finally:
        await it.close(within=timedelta(seconds=1))


@asynccontextmanager
async def notifying(
    database: Database, url: str, *, timing: Timing = SOON, to: str = OPS, seconds: float = 5.0
) -> AsyncIterator[Notifier]:
    """A notifier alone, turning until the block ends."""
    notifier = Notifier(
        database,
        Mailer(MailServer.from_url(url), step_seconds=seconds, letter_seconds=seconds),
        EmailSettings(parse_address("hooks@example.com"), HealthLimits()),
        to=[parse_address(to)] if to else [],
        metrics=Metrics(),
        timing=timing,
    )
    stop = asyncio.Event()
    turning = asyncio.create_task(run_loop(notifier, stop=stop, heartbeats=Heartbeats()))
    try:
        yield notifier
    finally:
        stop.set()
        notifier.wake.set()
        await turning
        await notifier.close()


async def webhook(app: Application, *, email: str | None = None, name: str = "a webhook") -> UUID:
    made = await app.webhook(await app.tenant(), "https://receiver.test/")
    await app.db.execute(
        "UPDATE webhooks SET notification_email = $2, name = $3 WHERE id = $1", made, email, name
    )
    return made


async def noticed(
    app: Application,
    webhook_id: UUID,
    kind: str = "webhook_failing",
    *,
    age: timedelta | None = None,
) -> int:
    """A notice as the settler writes it, so long ago; its id."""
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


async def sent(app: Application) -> int:
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


# What is told, and to whom


async def test_every_step_down_is_told_by_mail_with_the_reason_and_what_comes_next(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda request: Reply(410 if request.path == "/gone" else 503)
    tenant = await app.tenant()
    failing = await app.webhook(tenant, receiver.url + "/hook?token=c4n4ry")
    gone = await app.webhook(tenant, receiver.url + "/gone")
    limits = {"failing_after": 5, "pause_after": 20}
    with mail_host() as host:
        settings = mail(host, console_url="https://hooks.example.com")
        async with serving(database, delivery=limits, notifications=settings) as service:
            await app.events(tenant, 30)
            await until(lambda: len(host.mails) >= 5)
            await until(lambda: all_sent(app))
            page = await metrics_of(service)

    told = {letter.subject.removeprefix("Webhook “a webhook” "): letter for letter in host.mails}
    assert sorted(told) == [
        "answered 410 Gone and was paused",
        "is failing",
        "is half way to being paused",
        "was paused",
        "will soon be paused",
    ]
    assert len(host.mails) == 5
    assert {letter.recipients for letter in host.mails} == {(OPS,)}
    reason = "The last failure: the receiver answered 503 Service Unavailable."
    assert reason in told["is failing"].body("plain")
    assert "15 more than now" in told["is failing"].body("plain")
    assert "10 more than now" in told["is half way to being paused"].body("plain")
    assert "2 more than now" in told["will soon be paused"].body("plain")
    assert f"/api/webhooks/{failing}/resume" in told["was paused"].body("plain")
    assert f"/webhooks/{gone}" in told["answered 410 Gone and was paused"].body("html")
    assert told["was paused"].body("plain").count("  503 ") == 5
    assert told["is failing"].body("plain").count("  503 ") == 5
    assert "webhookd_mails_sent_total 5.0" in page
    assert "webhookd_mails_failed_total 0.0" in page
    assert CANARY not in "".join(letter.raw.decode() for letter in host.mails)


async def test_a_webhook_s_own_address_is_told_in_place_of_the_administrators(
    app: Application, database: str
) -> None:
    own, usual = await webhook(app, email=OWNER), await webhook(app)
    for each in (own, usual):
        await noticed(app, each, "webhook_paused")
    with mail_host() as host:
        async with serving(database, notifications=mail(host, to=[OPS, "Eve <eve@example.com>"])):
            await until(lambda: all_sent(app))

    [to_owner], [to_usual] = host.to(OWNER), host.to(OPS)
    assert to_owner.recipients == (OWNER,)
    assert str(own) in to_owner.body("plain")
    assert "UPDATE" not in to_owner.body("plain")
    assert to_usual.recipients == (OPS, "eve@example.com")
    assert str(usual) in to_usual.body("plain")
    assert "UPDATE" in to_usual.body("plain")


@pytest.mark.parametrize(
    "address", ["nobody", "a@b, c@d", "a@b\r\nBcc: c@d", "Name <a@b>\r\nX: y", "ü@example.com", ""]
)
async def test_an_address_that_cannot_be_used_is_no_reason_to_tell_nobody(
    app: Application, database: str, address: str
) -> None:
    await noticed(app, await webhook(app, email=address))
    with mail_host() as host, capture_logs() as logs:
        async with opened(database) as db, notifying(db, host.url):
            await until(lambda: all_sent(app))

    [letter] = host.mails
    assert letter.recipients == (OPS,)
    warned = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert warned == (["notice.address_unusable"] if address else [])


async def test_a_notice_that_nobody_can_be_told_of_is_set_aside_and_said_once(
    app: Application, database: str
) -> None:
    nobody = await noticed(app, await webhook(app))
    somebody = await noticed(app, await webhook(app, email=OWNER))
    with mail_host() as host, capture_logs() as logs:
        async with opened(database) as db, notifying(db, host.url, to=""):
            await until(lambda: given_up(app, nobody))
            await until(lambda: sent(app))

    row = await row_of(app, nobody)
    assert [line["notice_id"] for line in logs if line["event"] == "notice.unaddressed"] == [nobody]
    assert row["last_error"] == "neither the webhook nor notifications.to names an address"
    assert row["sent_at"] is None
    assert len(host.mails) == 1
    assert (await row_of(app, somebody))["sent_at"] is not None


async def test_without_a_mail_server_nothing_is_mailed_and_nothing_is_lost(
    app: Application, database: str
) -> None:
    notice = await noticed(app, await webhook(app))
    async with serving(database) as service:
        page = await metrics_of(service)
    with mail_host() as host:
        async with serving(database, notifications=mail(host)):
            await until(lambda: all_sent(app))

    assert 'loop="notifier"' not in page
    assert (await row_of(app, notice))["tries"] == 1


async def test_a_name_that_means_harm_does_none(app: Application, database: str) -> None:
    name = "<b>x</b>\r\nBcc: eve@example.com\r\n\r\n.\r\nQUIT\r\n\u202eשלום 👩‍👩‍👧"  # noqa: RUF001
    hook = await webhook(app, name=name)
    await app.db.execute(
        "UPDATE webhooks SET endpoint_url = $2 WHERE id = $1",
        hook,
        f"https://u:{CANARY}@h/<script>?{CANARY}\r\nX: y",
    )
    await noticed(app, hook)
    with mail_host() as host:
        async with serving(database, notifications=mail(host)):
            await until(lambda: all_sent(app))

    [letter] = host.mails
    assert letter.recipients == (OPS,)
    assert letter.message["Bcc"] is None
    assert letter.subject == (
        "Webhook “<b>x</b> Bcc: eve@example.com . QUIT שלום 👩‍👩‍👧” is failing"
    )
    assert "&lt;b&gt;x&lt;/b&gt;" in letter.body("html")
    assert "<script>" not in letter.body("html")
    assert CANARY not in letter.raw.decode()


# Once


async def test_two_daemons_tell_each_thing_once(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(410)
    tenant = await app.tenant()
    for number in range(40):
        await app.webhook(tenant, f"{receiver.url}/{number}")
    with mail_host() as host:
        settings = mail(host)
        async with (
            serving(database, notifications=settings),
            serving(database, notifications=settings),
        ):
            await app.event(tenant)
            await until(lambda: len(host.mails) >= 40)
            await until(lambda: all_sent(app))

    assert len(host.mails) == 40
    assert len({letter.message["Message-ID"] for letter in host.mails}) == 40
    assert await sent(app) == 40


async def test_a_mail_server_that_is_away_gets_the_letter_once_when_it_is_back(
    app: Application, database: str
) -> None:
    notice = await noticed(app, await webhook(app))
    host = MailHost(free_port())
    with capture_logs() as logs:
        async with opened(database) as db, notifying(db, host.url):
            await until(lambda: tried(app, notice, 3))
            with mail_host(host):
                await until(lambda: all_sent(app))

    row = await row_of(app, notice)
    told = [line for line in logs if line["event"] == "notice.not_mailed"]
    assert len(host.mails) == 1
    assert row["last_error"] is None
    assert row["tries"] == len(told) + 1
    assert {line["reason"] for line in told} == {f"{host.url}: connection refused"}


async def test_a_letter_is_refused_for_the_time_being_and_goes_later(
    app: Application, database: str
) -> None:
    notice = await noticed(app, await webhook(app))
    with mail_host() as host:
        host.refusals[OPS] = "450 4.7.1 greylisted"
        async with opened(database) as db, notifying(db, host.url):
            await until(lambda: tried(app, notice, 2))
            assert (await row_of(app, notice))["last_error"] == f"{OPS}: 450 4.7.1 greylisted"
            host.refusals.clear()
            await until(lambda: all_sent(app))

    assert len(host.mails) == 1


async def test_an_address_that_is_never_taken_does_not_keep_it_from_the_others_for_ever(
    app: Application, database: str
) -> None:
    notice = await noticed(app, await webhook(app))
    with mail_host() as host, capture_logs() as logs:
        host.refusals["eve@example.com"] = "452 4.2.2 mailbox full"
        async with opened(database) as db, notifying(db, host.url) as notifier:
            notifier._to = [parse_address(OPS), parse_address("eve@example.com")]
            await until(lambda: all_sent(app))

    row = await row_of(app, notice)
    refused = [line for line in logs if line["event"] == "notice.address_refused"]
    assert [letter.recipients for letter in host.mails] == [(OPS,)]
    assert row["tries"] == 5
    assert row["last_error"] == "eve@example.com: 452 4.2.2 mailbox full"
    assert [line["address"] for line in refused] == ["eve@example.com"]


async def test_a_recipient_who_does_not_exist_is_given_up_at_once_and_said(
    app: Application, database: str
) -> None:
    lost = await noticed(app, await webhook(app, email=OWNER))
    other = await noticed(app, await webhook(app))
    with mail_host() as host, capture_logs() as logs:
        host.refusals[OWNER] = "550 5.1.1 no such user"
        async with opened(database) as db, notifying(db, host.url):
            await until(lambda: given_up(app, lost))
            await until(lambda: sent(app))
            await noticed(app, await webhook(app))
            await until(lambda: len(host.mails) == 2)

    row = await row_of(app, lost)
    [told] = [line for line in logs if line["log_level"] == "error"]
    assert (row["sent_at"], row["tries"]) == (None, 1)
    assert row["last_error"] == f"{OWNER}: 550 5.1.1 no such user"
    assert (told["event"], told["notice_id"]) == ("notice.given_up", lost)
    assert (await row_of(app, other))["sent_at"] is not None


async def test_what_is_older_than_a_day_is_no_news(app: Application, database: str) -> None:
    hook = await webhook(app)
    old = await noticed(app, hook, age=DAY + timedelta(minutes=1))
    young = await noticed(app, hook, age=DAY - timedelta(minutes=1))
    with mail_host() as host:
        async with opened(database) as db, notifying(db, host.url):
            await until(lambda: sent(app))
            await noticed(app, hook)
            await until(lambda: len(host.mails) == 2)

    assert (await row_of(app, young))["sent_at"] is not None
    assert ((await row_of(app, old))["sent_at"], (await row_of(app, old))["tries"]) == (None, 0)


async def test_what_would_be_too_old_by_the_next_try_is_given_up(
    app: Application, database: str
) -> None:
    notice = await noticed(app, await webhook(app), age=DAY - timedelta(minutes=10))
    with capture_logs() as logs:
        async with opened(database) as db:
            timing = replace(SOON, waits=(timedelta(minutes=15),))
            async with notifying(db, f"smtp://127.0.0.1:{free_port()}", timing=timing):
                await until(lambda: given_up(app, notice))

    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["notice.given_up"]


def test_the_waits_grow_to_a_quarter_of_an_hour() -> None:
    waits = [Timing().wait_after(tries).total_seconds() for tries in (1, 2, 3, 4, 5, 6, 100)]

    assert waits == [30, 60, 120, 300, 900, 900, 900]


# Whoever hangs, dies or stops


async def test_a_mail_server_that_hangs_holds_up_nothing_else_and_no_stop(
    app: Application, database: str, receiver: Receiver
) -> None:
    notice = await noticed(app, await webhook(app))
    tenant = await app.tenant()
    await app.webhook(tenant, receiver.url)
    async with hostile(silent) as mute:
        url = f"smtp://127.0.0.1:{mute.port}"
        async with serving(database, notifications=mail(url)) as service:
            await until(lambda: len(mute.visits) == 1)
            await app.events(tenant, 50)
            await until(lambda: len(receiver.received) == 50)
            page = await metrics_of(service)
            began = time.monotonic()
        took = time.monotonic() - began

    [age] = [line for line in page.splitlines() if 'turn_seconds{loop="notifier"}' in line]
    row = await row_of(app, notice)
    assert float(age.split()[1]) < 5
    assert took < QUICK_STOP_SECONDS
    assert (row["sent_at"], row["held"], row["tries"]) == (None, False, 0)


async def test_a_letter_under_way_when_the_daemon_stops_is_sent_once(
    app: Application, database: str
) -> None:
    notice = await noticed(app, await webhook(app))
    with mail_host() as host:
        host.open = False
        async with serving(database, notifications=mail(host)) as service:
            await until(lambda: host.begun == 1)
            service.stop()
            host.open = True

    assert len(host.mails) == 1
    assert (await row_of(app, notice))["sent_at"] is not None


async def test_what_was_not_begun_when_the_daemon_stops_is_given_back(
    app: Application, database: str
) -> None:
    hook = await webhook(app)
    ids = [await noticed(app, hook) for _ in range(5)]
    with mail_host() as host:
        host.open = False
        async with serving(database, notifications=mail(host)):
            await until(lambda: host.begun == 1)
        rows = [await row_of(app, each) for each in ids]
        host.open = True

    assert [row["held"] for row in rows] == [True, False, False, False, False]
    assert {row["tries"] for row in rows} == {0}


async def test_a_daemon_killed_in_the_middle_of_a_letter_leaves_it_to_the_next(
    app: Application, database: str, tmp_path: Path
) -> None:
    notice = await noticed(app, await webhook(app))
    with mail_host() as host:
        host.open = False
        settings = (
            f'[notifications]\nsmtp_url = "{host.url}"\nfrom = "hooks@example.com"\nto = "{OPS}"\n'
        )
        async with daemon(database, tmp_path, settings=settings, port=free_port()) as killed:
            await until(lambda: host.begun == 1)
            await killed.kill()
        row = await row_of(app, notice)
        host.open = True
        await app.db.execute("UPDATE webhook_notices SET due_at = now()")  # as if it had lapsed
        async with daemon(database, tmp_path, settings=settings, port=free_port()):
            await until(lambda: all_sent(app))

    assert (row["sent_at"], row["tries"], row["held"]) == (None, 0, True)
    assert len(host.mails) == 1


async def test_a_lease_that_lapses_is_somebody_else_s(app: Application, database: str) -> None:
    notice = await noticed(app, await webhook(app))
    with mail_host() as host:
        async with opened(database) as db, hostile(silent) as mute:
            timing = replace(SOON, lease=timedelta(milliseconds=500))
            async with notifying(db, f"smtp://127.0.0.1:{mute.port}", timing=timing):
                await until(lambda: len(mute.visits) == 1)
                async with notifying(db, host.url):
                    await until(lambda: all_sent(app))

    assert len(host.mails) == 1
    assert (await row_of(app, notice))["tries"] == 1


class Forgetful(Database):
    """A database that goes away when a result is to be stored, so many times."""

    absences = 3

    def transaction(self, *, durable: bool = True) -> Any:
        if self.absences:
            self.absences -= 1
            raise ConnectionRefusedError
        return super().transaction(durable=durable)


async def test_a_database_that_is_away_for_a_moment_does_not_make_it_two_letters(
    app: Application, database: str
) -> None:
    await noticed(app, await webhook(app))
    db = Forgetful(database, size=4)
    await db.open()
    with mail_host() as host:
        async with notifying(db, host.url):
            await until(lambda: all_sent(app))
    await db.close(within=timedelta(seconds=1))

    assert db.absences == 0
    assert len(host.mails) == 1


class Lost(Database):
    """A database that is gone once, when so many connections more were asked for."""

    left = 0

    def connection(self, *, within: float = 10.0) -> Any:
        self.left -= 1
        if self.left == 0:
            raise ConnectionRefusedError
        return super().connection(within=within)


async def test_what_could_not_be_given_back_is_left_until_its_lease_lapses(
    app: Application, database: str
) -> None:
    hook = await webhook(app)
    ids = [await noticed(app, hook) for _ in range(3)]
    db = Lost(database, size=4)
    await db.open()
    with mail_host() as host:
        host.open = False
        async with notifying(db, host.url, seconds=0.5):
            await until(lambda: host.begun == 1)
            db.left = 2  # one to store that the first letter failed, one to give back the others
            await until(lambda: host.begun == 2)
            host.open = True
            await until(lambda: sent(app))
    rows = [await row_of(app, each) for each in ids]
    await db.close(within=timedelta(seconds=1))

    assert len(host.mails) == 1
    assert [row["tries"] > 0 for row in rows] == [True, False, False]
    assert [row["held"] for row in rows[1:]] == [True, True]


# The password


async def test_starttls_and_login_from_the_settings(
    app: Application, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority()
    (tmp_path / "authority.pem").write_text(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    await noticed(app, await webhook(app))
    with mail_host(starttls=authority.server("127.1"), login=True) as host:
        url = f"smtp://hooks%40example.com:p%2Fw@127.1:{host.port}"
        async with serving(database, notifications=mail(url)):
            await until(lambda: all_sent(app))

    assert host.logins == [(b"hooks@example.com", b"p/w")]
    assert len(host.mails) == 1


async def test_a_password_that_is_refused_is_neither_logged_nor_stored(
    app: Application, database: str
) -> None:
    notice = await noticed(app, await webhook(app))
    with mail_host(login=True) as host, capture_logs() as logs:
        url = f"smtp://hooks%40example.com:{CANARY}@127.0.0.1:{host.port}"
        async with opened(database) as db, notifying(db, url):
            await until(lambda: tried(app, notice, 2))

    row = await row_of(app, notice)
    assert row["last_error"] == f"smtp://127.0.0.1:{host.port} refuses the login (535)"
    assert CANARY not in str(logs) + str(row)


# The rows


async def lease(db: Connection, *, hold: timedelta = DAY, limit: int = 10) -> list[DueNotice]:
    return await notices.lease_due(db, limit=limit, lease=hold, not_older=DAY)


async def test_a_leased_notice_is_nobody_else_s_until_the_lease_lapses(app: Application) -> None:
    hook = await webhook(app)
    for _ in range(3):
        await noticed(app, hook)

    first, second, third = [await lease(app.db, limit=2) for _ in range(3)]

    assert (len(first), len(second), third) == (2, 1, [])
    assert {notice.tries for notice in first} == {0}


async def test_who_has_lost_the_lease_changes_nothing(app: Application) -> None:
    await noticed(app, await webhook(app))
    [lapsed] = await lease(app.db, hold=timedelta())
    [held] = await lease(app.db)
    before = dict(await row_of(app, held.id))

    late = await notices.sent(app.db, lapsed)
    await notices.failed(app.db, lapsed, error="x", wait=DAY, not_older=DAY)
    await notices.give_up(app.db, lapsed, error="x")
    await notices.release(app.db, [lapsed])

    assert not late
    assert dict(await row_of(app, held.id)) == before
    assert await notices.sent(app.db, held)
    assert not await notices.sent(app.db, held)


async def test_a_kind_that_only_a_newer_daemon_knows_is_left_to_it(app: Application) -> None:
    hook = await webhook(app)
    await noticed(app, hook, "webhook_of_the_future")
    known = [await noticed(app, hook, kind) for kind in NoticeKind]

    leased = await lease(app.db)

    assert [notice.id for notice in leased] == known
    assert [notice.kind for notice in leased] == list(NoticeKind)


async def made(app: Application, webhook_id: UUID, count: int) -> bool:
    """Whether so many attempts were made."""
    rows = await app.deliveries(webhook_id)
    return len([row for row in rows if row["status"] != "pending_retry"]) == count


async def test_a_lease_brings_the_attempts_that_led_to_it_and_none_to_be_made(
    app: Application, database: str, receiver: Receiver
) -> None:
    def answer(_: Received) -> Reply:
        return Reply(500 if len(receiver.received) > 3 else 200)

    receiver.answer = answer
    tenant = await app.tenant()
    hook = await app.webhook(tenant, receiver.url)
    async with serving(database, delivery={"failing_after": 3}):
        for number in range(1, 7):
            await app.event(tenant)
            await until(lambda number=number: made(app, hook, number))

    [notice] = await lease(app.db)

    assert notice.failures == 3
    assert notice.reason == "the receiver answered 500 Internal Server Error"
    assert notice.last_success_at is not None
    assert [attempt.status for attempt in notice.attempts] == [500, 500, 500, 200, 200]
    assert [attempt.at for attempt in notice.attempts] == sorted(
        (attempt.at for attempt in notice.attempts), reverse=True
    )
    assert notice.attempts[-1].error is None
    assert notice.attempts[0].error == notice.reason
    assert all(attempt.took_ms is not None for attempt in notice.attempts)


async def test_a_backlog_of_a_hundred_thousand_does_not_slow_the_letter_down(
    app: Application,
) -> None:
    tenant = await app.tenant()
    hook = await app.webhook(tenant, "https://receiver.test/")
    await app.db.execute(
        "INSERT INTO webhook_deliveries (webhook_id, event_id, event_created_at)"
        " SELECT $1, gen_random_uuid(), now() FROM generate_series(1, 100000)",
        hook,
    )
    await noticed(app, hook)

    began = time.monotonic()
    [notice] = await lease(app.db)
    took = time.monotonic() - began

    assert notice.attempts == ()
    assert took < 1
