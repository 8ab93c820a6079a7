"""Sending of emails: which recipients get one, and which failures are permanent."""

import pytest

from daemon.core.errors import MailError
from daemon.notifications.smtp_session import RefusedRecipient
from tests.support.hostile import hostile
from tests.support.mailserver import mail_host
from tests.support.smtp import EMAIL, EVE, OPS, mailer, script, send, send_error


async def test_emails_are_sent_unchanged_over_one_connection() -> None:
    with mail_host() as host:
        refused = await send(host.url, EMAIL, EMAIL, EMAIL)

    assert refused == [[], [], []]
    assert [mail.raw for mail in host.mails] == [EMAIL.message] * 3
    assert {mail.sender for mail in host.mails} == {"hooks@example.com"}
    assert {mail.recipients for mail in host.mails} == {(OPS, EVE)}


async def test_a_permanently_refused_recipient_does_not_keep_the_email_from_the_others() -> None:
    with mail_host() as host:
        host.refusals[EVE] = "550 5.1.1 no such user"
        [refused] = await send(host.url, EMAIL)

    assert refused == [RefusedRecipient(EVE, "550 5.1.1 no such user", permanent=True)]
    assert [mail.recipients for mail in host.mails] == [(OPS,)]


async def test_a_temporarily_refused_recipient_holds_back_an_email_that_is_to_go_to_all() -> None:
    with mail_host() as host:
        host.refusals[EVE] = "450 4.7.1 greylisted"
        error = await send_error(host.url)
        before = list(host.mails)
        [refused] = await send(host.url, EMAIL, to_all=False)

    assert str(error) == f"{EVE}: 450 4.7.1 greylisted"
    assert not error.permanent
    assert before == []
    assert [mail.recipients for mail in host.mails] == [(OPS,)]
    assert [each.address for each in refused] == [EVE]


@pytest.mark.parametrize(
    ("ops", "eve", "permanent"),
    [("550 no", "551 no", True), ("550 no", "450 later", False), ("452 full", "450 later", False)],
)
async def test_an_email_fails_permanently_only_if_every_recipient_is_refused_permanently(
    ops: str, eve: str, permanent: bool
) -> None:
    with mail_host() as host:
        host.refusals = {OPS: ops, EVE: eve}
        error = await send_error(host.url, to_all=False)

    assert str(error) == f"{OPS}: {ops}; {EVE}: {eve}"
    assert error.permanent == permanent


@pytest.mark.parametrize(
    ("answer", "permanent"), [("554 5.7.1 spam", True), ("451 4.3.0 try again later", False)]
)
async def test_a_server_may_refuse_the_message_itself(answer: str, permanent: bool) -> None:
    with mail_host() as host:
        host.answer = answer
        error = await send_error(host.url)

    assert (str(error), error.permanent) == (answer, permanent)


async def test_a_refused_sender_is_a_temporary_failure() -> None:
    async with hostile(script(("EHLO", "250 x"), ("MAIL", "553 not your address"))) as server:
        error = await send_error(f"smtp://127.0.0.1:{server.port}")

    assert (str(error), error.permanent) == ("553 not your address", False)


async def test_the_next_email_is_sent_after_a_refused_one() -> None:
    with mail_host() as host:
        host.refusals = {OPS: "550 no", EVE: "550 no"}
        async with mailer(host.url).session() as session:
            with pytest.raises(MailError):
                await session.send(EMAIL, to_all=True)
            host.refusals = {}
            await session.send(EMAIL, to_all=True)
            assert session.is_open

    assert len(host.mails) == 1


async def test_a_server_that_does_not_answer_a_message_is_disconnected() -> None:
    with mail_host() as host:
        host.answering = False
        async with mailer(host.url, seconds=0.2).session() as session:
            with pytest.raises(MailError, match=r"^no answer in time$"):
                await session.send(EMAIL, to_all=True)
            assert not session.is_open
        host.answering = True
