"""Each notice is mailed once, to the right recipients, over a secured connection."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.support.application import Application
from tests.support.certificates import Authority
from tests.support.daemons import metrics_of, serving, until
from tests.support.mailserver import mail_host
from tests.support.notifications import (
    CANARY,
    OPS,
    OWNER,
    all_sent,
    given_up,
    mail_settings,
    notifying,
    open_database,
    row_of,
    sent_count,
    stored_notice,
    tried,
    webhook,
)
from tests.support.receiver import Receiver, Reply


async def test_each_decline_of_an_endpoint_is_mailed_once(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda request: Reply(410 if request.path == "/gone" else 503)
    tenant = await app.tenant()
    await app.webhook(tenant, receiver.url + "/hook?token=c4n4ry")
    gone = await app.webhook(tenant, receiver.url + "/gone")
    await app.db.execute("UPDATE webhooks SET notification_email = $2 WHERE id = $1", gone, OWNER)
    limits = {"failing_after": 5, "pause_after": 20, "failing_backoff": "0s"}
    with mail_host() as host:
        settings = mail_settings(host, console_url="https://hooks.example.com")
        async with serving(database, delivery=limits, notifications=settings) as service:
            await app.events(tenant, 5)
            await until(lambda: len(host.mails) >= 2)
            await until(lambda: all_sent(app))
            page = await metrics_of(service)

    [failing], [paused] = host.to(OPS), host.to(OWNER)
    assert failing.subject == "Webhook “a webhook” is failing"
    assert paused.subject == "Webhook “a webhook” was paused: 410 Gone"
    assert len(host.mails) == 2
    text = failing.body("plain")
    assert "Last failure: the receiver answered 503 Service Unavailable." in text
    assert "(15 more)" in text
    assert text.count("  503 ") == 5
    assert f"/webhooks/{gone}" in paused.body("html")
    assert f"/api/webhooks/{gone}/resume" in paused.body("plain")
    assert "webhookd_mails_sent_total 2.0" in page
    assert "webhookd_mails_failed_total 0.0" in page
    assert CANARY not in "".join(mail.raw.decode() for mail in host.mails)


async def test_a_webhook_s_own_address_replaces_the_administrators(
    app: Application, database: str
) -> None:
    own, usual = await webhook(app, email=OWNER), await webhook(app)
    for each in (own, usual):
        await stored_notice(app, each, "webhook_paused")
    with mail_host() as host:
        async with serving(
            database, notifications=mail_settings(host, to=[OPS, "Eve <eve@example.com>"])
        ):
            await until(lambda: all_sent(app))

    [to_owner], [to_usual] = host.to(OWNER), host.to(OPS)
    assert to_owner.recipients == (OWNER,)
    assert str(own) in to_owner.body("plain")
    assert "webhookd resume" not in to_owner.body("plain")
    assert to_usual.recipients == (OPS, "eve@example.com")
    assert str(usual) in to_usual.body("plain")
    assert f"webhookd resume {usual}" in to_usual.body("plain")


@pytest.mark.parametrize(
    "address", ["nobody", "a@b, c@d", "a@b\r\nBcc: c@d", "Name <a@b>\r\nX: y", "ü@example.com", ""]
)
async def test_an_unusable_address_is_replaced_by_the_administrators(
    app: Application, database: str, address: str
) -> None:
    await stored_notice(app, await webhook(app, email=address))
    with mail_host() as host, capture_logs() as logs:
        async with open_database(database) as db, notifying(db, host.url):
            await until(lambda: all_sent(app))

    [mail] = host.mails
    assert mail.recipients == (OPS,)
    warned = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert warned == (["notice.address_unusable"] if address else [])


async def test_a_notice_without_a_recipient_is_given_up_and_logged_once(
    app: Application, database: str
) -> None:
    unaddressed = await stored_notice(app, await webhook(app))
    addressed = await stored_notice(app, await webhook(app, email=OWNER))
    with mail_host() as host, capture_logs() as logs:
        async with open_database(database) as db, notifying(db, host.url, to=()):
            await until(lambda: given_up(app, unaddressed))
            await until(lambda: sent_count(app))

    row = await row_of(app, unaddressed)
    missing = [line for line in logs if line["event"] == "notice.recipient_missing"]
    assert [line["notice_id"] for line in missing] == [unaddressed]
    assert row["last_error"] == "neither the webhook nor notifications.to names an address"
    assert row["sent_at"] is None
    assert len(host.mails) == 1
    assert (await row_of(app, addressed))["sent_at"] is not None


async def test_notices_written_before_mail_was_configured_are_mailed_later(
    app: Application, database: str
) -> None:
    notice = await stored_notice(app, await webhook(app))
    async with serving(database) as service:
        page = await metrics_of(service)
    with mail_host() as host:
        async with serving(database, notifications=mail_settings(host)):
            await until(lambda: all_sent(app))

    assert 'loop="notifier"' not in page
    assert (await row_of(app, notice))["tries"] == 1


async def test_a_hostile_name_cannot_forge_an_email(app: Application, database: str) -> None:
    name = "<b>x</b>\r\nBcc: eve@example.com\r\n\r\n.\r\nQUIT\r\n\u202eשלום 👩‍👩‍👧"  # noqa: RUF001
    hook = await webhook(app, name=name)
    await app.db.execute(
        "UPDATE webhooks SET endpoint_url = $2 WHERE id = $1",
        hook,
        f"https://u:{CANARY}@h/<script>?{CANARY}\r\nX: y",
    )
    await stored_notice(app, hook)
    with mail_host() as host:
        async with serving(database, notifications=mail_settings(host)):
            await until(lambda: all_sent(app))

    [mail] = host.mails
    assert mail.recipients == (OPS,)
    assert mail.message["Bcc"] is None
    assert mail.subject == (
        "Webhook “<b>x</b> Bcc: eve@ example. com . QUIT שלום 👩‍👩‍👧” is failing"
    )
    assert "&lt;b&gt;x&lt;/b&gt;" in mail.body("html")
    assert "<script>" not in mail.body("html")
    assert CANARY not in mail.raw.decode()


@pytest.mark.full
async def test_two_daemons_mail_each_notice_once(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(410)
    tenant = await app.tenant()
    for number in range(40):
        await app.webhook(tenant, f"{receiver.url}/{number}")
    await app.db.execute("UPDATE webhooks SET notification_email = id || '@customer.example'")
    with mail_host() as host:
        settings = mail_settings(host)
        async with (
            serving(database, notifications=settings),
            serving(database, notifications=settings),
        ):
            await app.event(tenant)
            await until(lambda: len(host.mails) >= 40)
            await until(lambda: all_sent(app))

    assert len(host.mails) == 40
    assert len({mail.message["Message-ID"] for mail in host.mails}) == 40
    assert await sent_count(app) == 40


async def test_starttls_and_login_follow_the_settings(
    app: Application, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority()
    (tmp_path / "authority.pem").write_text(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    await stored_notice(app, await webhook(app))
    with mail_host(starttls=authority.server("127.1"), login=True) as host:
        url = f"smtp://hooks%40example.com:p%2Fw@127.1:{host.port}"
        async with serving(database, notifications=mail_settings(url)):
            await until(lambda: all_sent(app))

    assert host.logins == [(b"hooks@example.com", b"p/w")]
    assert len(host.mails) == 1


async def test_a_refused_password_is_neither_logged_nor_stored(
    app: Application, database: str
) -> None:
    notice = await stored_notice(app, await webhook(app))
    with mail_host(login=True) as host, capture_logs() as logs:
        url = f"smtp://hooks%40example.com:{CANARY}@127.0.0.1:{host.port}"
        async with open_database(database) as db, notifying(db, url):
            await until(lambda: tried(app, notice, 2))

    row = await row_of(app, notice)
    assert row["last_error"] == f"smtp://127.0.0.1:{host.port} refuses the login (535)"
    assert CANARY not in str(logs) + str(row)
