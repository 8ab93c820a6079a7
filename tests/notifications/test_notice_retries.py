"""A notice that could not be mailed is tried again, or given up."""

from dataclasses import replace
from datetime import timedelta

from structlog.testing import capture_logs

from daemon.notifications.timing import Timing
from tests.support.application import Application
from tests.support.daemons import free_port, until
from tests.support.mailserver import MailHost, mail_host
from tests.support.notifications import (
    DAY,
    OPS,
    OWNER,
    SOON,
    all_sent,
    given_up,
    notifying,
    open_database,
    row_of,
    sent_count,
    stored_notice,
    tried,
    webhook,
)


async def test_an_email_is_sent_once_after_the_mail_server_returns(
    app: Application, database: str
) -> None:
    notice = await stored_notice(app, await webhook(app))
    host = MailHost(free_port())
    with capture_logs() as logs:
        async with open_database(database) as db, notifying(db, host.url):
            await until(lambda: tried(app, notice, 3))
            with mail_host(host):
                await until(lambda: all_sent(app))

    row = await row_of(app, notice)
    failures = [line for line in logs if line["event"] == "notice.not_mailed"]
    assert len(host.mails) == 1
    assert row["last_error"] is None
    assert row["tries"] == len(failures) + 1
    assert {line["reason"] for line in failures} == {f"{host.url}: connection refused"}


async def test_a_temporarily_refused_email_is_sent_later(app: Application, database: str) -> None:
    notice = await stored_notice(app, await webhook(app))
    with mail_host() as host:
        host.refusals[OPS] = "450 4.7.1 greylisted"
        async with open_database(database) as db, notifying(db, host.url):
            await until(lambda: tried(app, notice, 2))
            assert (await row_of(app, notice))["last_error"] == f"{OPS}: 450 4.7.1 greylisted"
            host.refusals.clear()
            await until(lambda: all_sent(app))

    assert len(host.mails) == 1


async def test_a_recipient_that_stays_refused_holds_the_email_back_for_four_tries_only(
    app: Application, database: str
) -> None:
    notice = await stored_notice(app, await webhook(app))
    with mail_host() as host, capture_logs() as logs:
        host.refusals["eve@example.com"] = "452 4.2.2 mailbox full"
        both = (OPS, "eve@example.com")
        async with open_database(database) as db, notifying(db, host.url, to=both):
            await until(lambda: all_sent(app))

    row = await row_of(app, notice)
    refused = [line for line in logs if line["event"] == "notice.address_refused"]
    assert [mail.recipients for mail in host.mails] == [(OPS,)]
    assert row["tries"] == 5
    assert row["last_error"] == "eve@example.com: 452 4.2.2 mailbox full"
    assert [line["address"] for line in refused] == ["eve@example.com"]


async def test_a_notice_to_a_permanently_refused_recipient_is_given_up_at_once(
    app: Application, database: str
) -> None:
    lost = await stored_notice(app, await webhook(app, email=OWNER))
    other = await stored_notice(app, await webhook(app))
    with mail_host() as host, capture_logs() as logs:
        host.refusals[OWNER] = "550 5.1.1 no such user"
        async with open_database(database) as db, notifying(db, host.url):
            await until(lambda: given_up(app, lost))
            await until(lambda: sent_count(app))
            await stored_notice(app, await webhook(app))
            await until(lambda: len(host.mails) == 2)

    row = await row_of(app, lost)
    [error] = [line for line in logs if line["log_level"] == "error"]
    assert (row["sent_at"], row["tries"]) == (None, 1)
    assert row["last_error"] == f"{OWNER}: 550 5.1.1 no such user"
    assert (error["event"], error["notice_id"]) == ("notice.given_up", lost)
    assert (await row_of(app, other))["sent_at"] is not None


async def test_notices_older_than_a_day_are_not_mailed(app: Application, database: str) -> None:
    hook = await webhook(app)
    old = await stored_notice(app, hook, age=DAY + timedelta(minutes=1))
    young = await stored_notice(app, hook, age=DAY - timedelta(minutes=1))
    with mail_host() as host:
        async with open_database(database) as db, notifying(db, host.url):
            await until(lambda: sent_count(app))
            await stored_notice(app, hook)
            await until(lambda: len(host.mails) == 2)

    assert (await row_of(app, young))["sent_at"] is not None
    assert ((await row_of(app, old))["sent_at"], (await row_of(app, old))["tries"]) == (None, 0)


async def test_a_notice_too_old_for_another_try_is_given_up(
    app: Application, database: str
) -> None:
    notice = await stored_notice(app, await webhook(app), age=DAY - timedelta(minutes=10))
    with capture_logs() as logs:
        async with open_database(database) as db:
            timing = replace(SOON, retry_waits=(timedelta(minutes=15),))
            async with notifying(db, f"smtp://127.0.0.1:{free_port()}", timing=timing):
                await until(lambda: given_up(app, notice))

    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["notice.given_up"]


def test_the_waits_between_tries_grow_to_a_quarter_of_an_hour() -> None:
    waits = [Timing().wait_after(tries).total_seconds() for tries in (1, 2, 3, 4, 5, 6, 100)]

    assert waits == [30, 60, 120, 300, 900, 900, 900]
