"""The first mail to a recipient goes at once; what follows within ten minutes comes as one."""

import re
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from structlog.testing import capture_logs

from daemon.core.scheduling.mail_quota import MAILS_PER_WEBHOOK
from tests.support.application import Application
from tests.support.daemons import metrics_of, serving, until
from tests.support.hostile import hostile, silent
from tests.support.mailserver import MailHost, mail_host
from tests.support.notifications import (
    OPS,
    OWNER,
    SOON,
    all_sent,
    at_rest,
    end_windows,
    mail_settings,
    notifying,
    open_database,
    sent_count,
    stored_notice,
    webhook,
)
from tests.support.receiver import Receiver, Reply

TEN_MINUTES = replace(SOON, window=timedelta(minutes=10))
HOUR = timedelta(hours=1)


async def test_what_follows_the_first_mail_comes_as_one_with_everything_in_it(
    app: Application, database: str
) -> None:
    first, *others = [await webhook(app, name=f"hook {number}") for number in range(20)]
    with mail_host() as host, capture_logs() as logs:
        async with open_database(database) as db, notifying(db, host.url, timing=TEN_MINUTES):
            await stored_notice(app, first)
            await until(lambda: all_sent(app))
            for each in others:
                await stored_notice(app, each)
                await stored_notice(app, each, "webhook_paused")
            await until(lambda: at_rest(app))
            between = len(host.mails)
            await end_windows(app)
            await until(lambda: all_sent(app))

    put_off = [line["notices"] for line in logs if line["event"] == "notices.put_off"]
    at_once, digest = host.mails
    assert between == 1
    assert at_once.subject == "Webhook “hook 0” is failing"
    assert digest.subject == "38 notices: 19 webhooks paused"
    assert all(f"ID {each}," in digest.body("plain") for each in others)
    assert digest.body("plain").count("is failing") == 19
    assert sum(put_off) == 38


async def test_a_recipient_waits_for_its_own_window_only(app: Application, database: str) -> None:
    own, usual = await webhook(app, email=OWNER), await webhook(app)
    with mail_host() as host:
        async with open_database(database) as db, notifying(db, host.url, timing=TEN_MINUTES):
            await stored_notice(app, own)
            await until(lambda: all_sent(app))
            waiting = await stored_notice(app, own)
            await stored_notice(app, usual)
            await until(lambda: len(host.mails) == 2)
            await until(lambda: at_rest(app))

    left = await app.db.fetch("SELECT id FROM webhook_notices WHERE sent_at IS NULL")
    assert [mail.recipients for mail in host.mails] == [(OWNER,), (OPS,)]
    assert [row["id"] for row in left] == [waiting]


async def test_an_address_in_any_case_and_the_only_administrator_s_own_are_one_recipient(
    app: Application, database: str
) -> None:
    spellings = (OWNER, OWNER.upper(), f"Owner <{OWNER}>")
    for address in (*spellings, OPS.upper(), None):
        await stored_notice(app, await webhook(app, email=address))
    with mail_host() as host:
        async with open_database(database) as db, notifying(db, host.url, timing=TEN_MINUTES):
            await until(lambda: all_sent(app))

    assert sorted(mail.subject for mail in host.mails) == [
        "2 notices: 2 webhooks failing",
        "3 notices: 3 webhooks failing",
    ]


async def test_several_daemons_mail_a_recipient_once_in_a_window(
    app: Application, database: str
) -> None:
    hooks = [await webhook(app) for _ in range(30)]
    with mail_host() as host:
        async with (
            open_database(database) as db,
            notifying(db, host.url, timing=TEN_MINUTES),
            notifying(db, host.url, timing=TEN_MINUTES),
            notifying(db, host.url, timing=TEN_MINUTES),
        ):
            for each in hooks[:-1]:
                await stored_notice(app, each)
            await until(lambda: host.mails)
            await stored_notice(app, hooks[-1])  # too late for the first mail, however busy we are
            await until(lambda: at_rest(app))
            before = len(host.mails)
            await end_windows(app)
            await until(lambda: all_sent(app))

    assert before == 1
    assert len(host.mails) == 2
    assert await sent_count(app) == 30


async def test_a_digest_of_a_daemon_that_vanished_is_mailed_by_another(
    app: Application, database: str
) -> None:
    hooks = [await webhook(app) for _ in range(3)]
    for each in hooks:
        await stored_notice(app, each)
    with mail_host() as host:
        async with open_database(database) as db, hostile(silent) as mute:
            vanishing = replace(TEN_MINUTES, lease=timedelta(milliseconds=500))
            async with notifying(db, f"smtp://127.0.0.1:{mute.port}", timing=vanishing):
                await until(lambda: len(mute.connections) == 1)
                await stored_notice(app, await webhook(app))
                async with notifying(db, host.url, timing=TEN_MINUTES):
                    await until(lambda: all_sent(app))

    [mail] = host.mails
    assert mail.subject == "4 notices: 4 webhooks failing"


async def test_a_recipient_that_is_refused_delays_no_other(app: Application, database: str) -> None:
    owners = [f"{number}@customer.example" for number in range(30)]
    for address in owners:
        await stored_notice(app, await webhook(app, email=address))
    patient = replace(TEN_MINUTES, retry_waits=(HOUR,))
    with mail_host() as host:
        host.refusals = dict.fromkeys(owners[:15], "450 mailbox busy") | dict.fromkeys(
            owners[15:29], "550 no such user"
        )
        async with open_database(database) as db, notifying(db, host.url, timing=patient):
            await until(lambda: host.to(owners[29]))
            # A mail that failed closes the window, too.
            again = await webhook(app, email=owners[0])
            await stored_notice(app, again)
            await until(lambda: at_rest(app))
            host.refusals.clear()
            await end_windows(app)
            await until(lambda: host.to(owners[0]))
            await until(lambda: at_rest(app))

    assert [mail.subject for mail in host.to(owners[0])] == ["2 notices: 2 webhooks failing"]
    assert len(host.mails) == 16  # those refused for good were given up


async def flap(app: Application, host: MailHost, hook: UUID, *, times: int) -> None:
    """Let the webhook fail and recover in this many windows."""
    for _ in range(times):
        await stored_notice(app, hook)
        await stored_notice(app, hook, "webhook_recovered")
        await until(lambda: at_rest(app))
        await end_recipients_windows(app)


async def end_recipients_windows(app: Application) -> None:
    """Make the ten minutes be over; what was put off for an hour stays so."""
    await app.db.execute("UPDATE webhook_mail_recipients SET next_mail_at = now()")


async def test_a_webhook_that_fails_and_recovers_all_the_time_is_three_mails_an_hour(
    app: Application, database: str
) -> None:
    hook = await webhook(app)
    with mail_host() as host:
        async with open_database(database) as db, notifying(db, host.url, timing=TEN_MINUTES):
            await flap(app, host, hook, times=10)
            within_the_hour = len(host.mails)
            await app.db.execute("UPDATE webhook_notices SET sent_at = sent_at - interval '1 hour'")
            await end_windows(app)
            await until(lambda: all_sent(app))

    *_, merged = host.mails
    assert within_the_hour == MAILS_PER_WEBHOOK
    assert len(host.mails) == MAILS_PER_WEBHOOK + 1
    assert merged.subject == "Webhook “a webhook” has recovered"
    assert merged.body("plain").count("is failing") == 10 - MAILS_PER_WEBHOOK


async def test_a_pause_and_another_webhook_s_news_are_mailed_in_spite_of_it(
    app: Application, database: str
) -> None:
    hook = await webhook(app, name="flapping")
    with mail_host() as host:
        async with open_database(database) as db, notifying(db, host.url, timing=TEN_MINUTES):
            await flap(app, host, hook, times=MAILS_PER_WEBHOOK + 1)
            held_back = len(host.mails)
            await stored_notice(app, await webhook(app, name="other"))
            await until(lambda: len(host.mails) > held_back)
            await until(lambda: at_rest(app))
            await end_recipients_windows(app)
            await stored_notice(app, hook, "webhook_paused")
            await until(lambda: len(host.mails) > held_back + 1)
            await until(lambda: at_rest(app))

    *_, other, pause = host.mails
    assert held_back == MAILS_PER_WEBHOOK
    assert other.subject == "Webhook “other” is failing"
    assert pause.subject == "Webhook “flapping” was paused"
    assert re.findall("UTC  (is failing|has recovered|was paused)", pause.body("plain")) == [
        "is failing",
        "has recovered",
        "was paused",
    ]
    assert await all_sent(app)


async def test_a_recovery_is_a_notice_once_and_comes_with_the_failure_in_one_mail(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    hook = await app.webhook(tenant, receiver.url)

    async def notices_are(*kinds: str) -> bool:
        return await app.notices(hook) == list(kinds)

    receiver.answer = lambda _: Reply(500)
    with mail_host() as host:
        async with serving(
            database,
            delivery={
                "failing_after": 1,
                "failing_backoff": "0s",
                "retry_schedule": ["10ms"] * 3,
            },
            notifications=mail_settings(host),
        ) as service:
            await app.event(tenant)
            await until(lambda: notices_are("webhook_failing"))
            await until(lambda: len(host.mails) == 1)
            receiver.answer = lambda _: Reply(200)
            await app.events(tenant, 5)
            await until(lambda: notices_are("webhook_failing", "webhook_recovered"))
            await until(lambda: at_rest(app))
            await end_windows(app)
            await until(lambda: all_sent(app))
            page = await metrics_of(service)

    assert [mail.subject for mail in host.mails] == [
        "Webhook “a webhook” is failing",
        "Webhook “a webhook” has recovered",
    ]
    assert 'webhookd_notices_total{kind="webhook_recovered"} 1.0' in page
    assert "webhookd_notices_put_off_total 1.0" in page
