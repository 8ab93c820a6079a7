"""The way to a mail server: secured before a password goes over it, and given up in time."""

import asyncio
import base64
import ssl
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.core.errors import MailError
from daemon.core.model.notices import Letter
from daemon.notifications.smtp import Mailer, MailServer, Refused
from tests.support.certificates import Authority
from tests.support.daemons import free_port, until
from tests.support.hostile import GONE, Script, Visit, hanging_up, hostile, resetting, silent
from tests.support.mailserver import MailHost, mail_host

OPS, EVE = "ops@example.com", "eve@example.com"
LETTER = Letter("hooks@example.com", (OPS, EVE), b"Subject: x\r\n\r\n.\r\n..hello\r\n")
PASSWORD = "p/w"
# glibc reads it as 127.0.0.1, and the mailer as a name like any other.
ELSEWHERE = "127.1"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def trusted(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """What the operator does for an authority of his own."""
    (tmp_path / "authority.pem").write_text(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return authority


def mailer(url: str, *, seconds: float = 5.0) -> Mailer:
    return Mailer(MailServer.from_url(url), step_seconds=seconds, letter_seconds=seconds)


def with_login(host: MailHost, name: str, password: str = "p%2Fw") -> str:
    return f"smtp://hooks%40example.com:{password}@{name}:{host.port}"


async def post(url: str, *letters: Letter, to_all: bool = True) -> list[Sequence[Refused]]:
    async with mailer(url).session() as session:
        return [await session.post(letter, to_all=to_all) for letter in letters]


async def complaint(url: str, *, seconds: float = 5.0) -> str:
    """Of a session that cannot be had."""
    with pytest.raises(MailError) as caught:
        async with mailer(url, seconds=seconds).session():
            pass
    assert not caught.value.for_good
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "server", "shown"),
    [
        ("smtp://h", MailServer("h", 25, False), "smtp://h:25"),
        ("smtp://u@h", MailServer("h", 587, False, "u"), "smtp://h:587"),
        ("smtps://u:p%2Fw@h", MailServer("h", 465, True, "u", "p/w"), "smtps://h:465"),
        ("smtp://[::1]:2525", MailServer("::1", 2525, False), "smtp://[::1]:2525"),
    ],
)
def test_a_url_names_the_server_and_how_it_is_spoken_to(
    url: str, server: MailServer, shown: str
) -> None:
    read = MailServer.from_url(url)

    assert read == server
    assert str(read) == shown
    assert "p/w" not in repr(read)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("mail.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("127.1", False),
        ("0.0.0.0", False),
        ("localhost.example.com", False),
        ("mylocalhost", False),
        ("10.0.0.1", False),
    ],
)
def test_only_a_loopback_name_is_this_machine(host: str, expected: bool) -> None:
    assert MailServer(host, 25, tls=False).is_this_machine == expected


async def test_letters_are_handed_over_on_one_connection_as_they_are() -> None:
    with mail_host() as host:
        refused = await post(host.url, LETTER, LETTER, LETTER)

    assert refused == [[], [], []]
    assert [mail.raw for mail in host.mails] == [LETTER.message] * 3
    assert {mail.sender for mail in host.mails} == {"hooks@example.com"}
    assert {mail.recipients for mail in host.mails} == {(OPS, EVE)}


async def test_starttls_and_a_login_for_a_server_elsewhere(trusted: Authority) -> None:
    with mail_host(starttls=trusted.server(ELSEWHERE), login=True) as host:
        await post(with_login(host, ELSEWHERE), LETTER)

    assert host.logins == [(b"hooks@example.com", PASSWORD.encode())]
    assert len(host.mails) == 1


async def test_starttls_without_a_login_when_it_is_offered(trusted: Authority) -> None:
    with mail_host(starttls=trusted.server(ELSEWHERE)) as host:
        await post(f"smtp://{ELSEWHERE}:{host.port}", LETTER)

    assert len(host.mails) == 1


async def test_tls_from_the_first_byte(trusted: Authority) -> None:
    with mail_host(tls=trusted.server("localhost"), login=True) as host:
        await post(with_login(host, "localhost").replace("smtp:", "smtps:"), LETTER)

    assert len(host.logins) == len(host.mails) == 1


async def test_a_password_is_not_sent_in_the_clear_to_a_server_elsewhere() -> None:
    with mail_host(login=True) as host:
        told = await complaint(with_login(host, ELSEWHERE))

    assert (
        told == f"smtp://127.1:{host.port} offers no STARTTLS, and the password is not sent without"
    )
    assert host.logins == []


async def test_on_this_machine_a_password_needs_no_tls() -> None:
    with mail_host(login=True) as host:
        await post(with_login(host, "127.0.0.1"), LETTER)

    assert len(host.logins) == len(host.mails) == 1


async def test_on_this_machine_tls_is_left_alone_unless_the_login_needs_it(
    trusted: Authority,
) -> None:
    with mail_host(starttls=Authority().server("whatever")) as host:
        await post(f"smtp://localhost:{host.port}", LETTER)
    with mail_host(starttls=trusted.server("localhost"), login=True) as strict:
        await post(with_login(strict, "localhost"), LETTER)

    assert len(host.mails) == len(strict.mails) == len(strict.logins) == 1


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_certificate_that_nobody_vouches_for_is_not_believed(scheme: str) -> None:
    context = Authority().server(ELSEWHERE)
    serving = mail_host(starttls=context) if scheme == "smtp" else mail_host(tls=context)
    with serving as host:
        told = await complaint(with_login(host, ELSEWHERE).replace("smtp:", f"{scheme}:"))

    assert "its certificate cannot be verified: " in told
    assert "issuer" in told
    assert host.logins == []


async def test_another_host_s_certificate_is_not_believed(trusted: Authority) -> None:
    with mail_host(starttls=trusted.server("mail.example.com"), login=True) as host:
        told = await complaint(with_login(host, ELSEWHERE))

    assert "Hostname mismatch" in told
    assert host.logins == []


async def test_an_old_certificate_is_not_believed(trusted: Authority) -> None:
    old = trusted.server(ELSEWHERE, until=datetime(2025, 1, 1, tzinfo=UTC))
    with mail_host(starttls=old) as host:
        told = await complaint(f"smtp://{ELSEWHERE}:{host.port}")

    assert "certificate has expired" in told


async def test_a_login_that_is_refused_is_told_without_the_password() -> None:
    with mail_host(login=True) as host:
        told = await complaint(with_login(host, "127.0.0.1", "c4n4ry"))

    assert told == f"smtp://127.0.0.1:{host.port} refuses the login (535)"


# What a server may do instead


def script(*lines: tuple[str, str]) -> Script:
    """A server that hears a command and gives an answer, in this order; then it hears for ever."""

    async def play(visit: Visit) -> None:
        await visit.say(b"220 hello\r\n")
        for command, answer in lines:
            heard = b""
            while not heard.upper().startswith(command.encode()):
                heard = await visit.read_some()
            await visit.say(f"{answer}\r\n".encode())
        while True:
            await visit.read_some()

    return play


def echo_of(password: str) -> str:
    """What a careless server could say of a login."""
    plain = base64.b64encode(f"\0hooks@example.com\0{password}".encode()).decode()
    return f"535 you said AUTH PLAIN {plain}, which is {password}"


async def test_a_riddle_that_cannot_be_read_is_a_login_refused() -> None:
    lines = ("EHLO", "250-x\r\n250 AUTH CRAM-MD5"), ("AUTH", "334 \u00e9\u00e9")
    async with hostile(script(*lines)) as server:
        told = await complaint(f"smtp://u:c4n4ry@127.0.0.1:{server.port}")

    assert told.endswith("refuses the login (334)")


async def test_what_a_server_repeats_of_a_login_is_not_told() -> None:
    lines = ("EHLO", "250-x\r\n250 AUTH PLAIN"), ("AUTH", echo_of("c4n4ry"))
    async with hostile(script(*lines)) as server:
        told = await complaint(f"smtp://hooks%40example.com:c4n4ry@127.0.0.1:{server.port}")

    assert told.endswith("refuses the login (535)")


async def chattering(visit: Visit) -> None:
    await visit.say_for_ever(b"220-" + b"x" * 60_000)


async def speaking_of_the_web(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await visit.read_some()


NO_LOGIN = (
    "The SMTP AUTH extension is not supported by this server. Try connecting via TLS (or STARTTLS)."
)
PLAGUES: dict[str, tuple[Script, str]] = {
    "hangs up": (hanging_up, "it hung up"),
    "resets": (resetting, "it hung up"),
    "speaks something else": (speaking_of_the_web, "it does not speak SMTP"),
    "chatters": (chattering, "it does not speak SMTP"),
    "has no time": (script(("EHLO", "421 too busy")), "421 too busy"),
    "offers no login": (
        script(("EHLO", "250 x")),
        NO_LOGIN,
    ),
}


@pytest.mark.parametrize("plague", PLAGUES)
async def test_what_a_mail_server_does_instead_is_told_in_a_few_words(plague: str) -> None:
    play, words = PLAGUES[plague]
    async with hostile(play) as server:
        told = await complaint(f"smtp://u:c4n4ry@127.0.0.1:{server.port}")

    assert told == f"smtp://127.0.0.1:{server.port}: {words}"


async def test_nobody_there_is_told_in_a_few_words() -> None:
    port = free_port()

    assert await complaint(f"smtp://127.0.0.1:{port}") == (
        f"smtp://127.0.0.1:{port}: connection refused"
    )
    assert await complaint(f"smtp://localhost:{port}") == (
        f"smtp://localhost:{port}: connection refused"
    )
    assert await complaint("smtp://mail.invalid") == (
        "smtp://mail.invalid:25: its name cannot be looked up"
    )


@pytest.mark.parametrize(
    ("play", "scheme"),
    [
        (silent, "smtp"),
        (silent, "smtps"),
        (script(("EHLO", "250-x")), "smtp"),
        (script(("EHLO", "250-x\r\n250 AUTH PLAIN")), "smtp"),
        (script(("EHLO", "250-x\r\n250 STARTTLS"), ("STARTTLS", "220 go")), "smtp"),
    ],
)
async def test_a_server_that_says_nothing_is_waited_for_as_long_as_it_was_said(
    play: Script, scheme: str
) -> None:
    async with hostile(play) as server:
        began = time.monotonic()
        told = await complaint(f"{scheme}://u:p@127.0.0.1:{server.port}", seconds=0.2)

    assert told.endswith(": no answer in time")
    assert time.monotonic() - began < 3


async def dripping(visit: Visit) -> None:
    await visit.drip(b"220-x\r\n" * 1000, every=0.01)


async def test_a_server_that_drips_is_waited_for_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.notifications.smtp.CONNECT_SECONDS", 0.3)
    async with hostile(dripping) as server:
        told = await complaint(f"smtp://127.0.0.1:{server.port}")

    assert told.endswith(": no answer in time")


async def test_nothing_is_left_open_whether_a_session_ends_or_is_cancelled() -> None:
    heard, left = [], []

    async def listening(visit: Visit) -> None:
        await visit.say(b"220 x\r\n")
        try:
            while True:
                heard.append((await visit.read_some())[:4])
                await visit.say({b"EHLO": b"250 x\r\n", b"QUIT": b"221 x\r\n"}.get(heard[-1], b""))
        except GONE:
            left.append(visit.number)

    async with hostile(listening) as server:
        url = f"smtp://127.0.0.1:{server.port}"
        async with mailer(url).session():
            pass
        posting = asyncio.create_task(post(url, LETTER))
        await until(lambda: heard[-1] == b"MAIL")
        posting.cancel()
        await asyncio.gather(posting, return_exceptions=True)
        await until(lambda: left == [1, 2])

    assert heard == [b"EHLO", b"QUIT", b"EHLO", b"MAIL"]


# What becomes of a letter


async def refusal_of(url: str, *, to_all: bool = True) -> MailError:
    with pytest.raises(MailError) as caught:
        await post(url, LETTER, to_all=to_all)
    return caught.value


async def test_an_address_that_is_refused_for_good_does_not_keep_the_letter_from_others() -> None:
    with mail_host() as host:
        host.refusals[EVE] = "550 5.1.1 no such user"
        [refused] = await post(host.url, LETTER)

    assert refused == [Refused(EVE, "550 5.1.1 no such user", for_good=True)]
    assert [mail.recipients for mail in host.mails] == [(OPS,)]


async def test_an_address_that_is_refused_for_now_keeps_it_from_all_until_patience_ends() -> None:
    with mail_host() as host:
        host.refusals[EVE] = "450 4.7.1 greylisted"
        error = await refusal_of(host.url)
        nobody = list(host.mails)
        [refused] = await post(host.url, LETTER, to_all=False)

    assert str(error) == f"{EVE}: 450 4.7.1 greylisted"
    assert not error.for_good
    assert nobody == []
    assert [mail.recipients for mail in host.mails] == [(OPS,)]
    assert [each.address for each in refused] == [EVE]


@pytest.mark.parametrize(
    ("ops", "eve", "for_good"),
    [("550 no", "551 no", True), ("550 no", "450 later", False), ("452 full", "450 later", False)],
)
async def test_a_letter_that_everybody_is_refused_for_good_is_not_worth_another_try(
    ops: str, eve: str, for_good: bool
) -> None:
    with mail_host() as host:
        host.refusals = {OPS: ops, EVE: eve}
        error = await refusal_of(host.url, to_all=False)

    assert str(error) == f"{OPS}: {ops}; {EVE}: {eve}"
    assert error.for_good == for_good


@pytest.mark.parametrize(
    ("answer", "for_good"), [("554 5.7.1 spam", True), ("451 4.3.0 try again later", False)]
)
async def test_the_letter_itself_may_be_refused(answer: str, for_good: bool) -> None:
    with mail_host() as host:
        host.answer = answer
        error = await refusal_of(host.url)

    assert (str(error), error.for_good) == (answer, for_good)


async def test_a_sender_who_is_refused_is_a_setting_that_can_be_mended() -> None:
    async with hostile(script(("EHLO", "250 x"), ("MAIL", "553 not your address"))) as server:
        error = await refusal_of(f"smtp://127.0.0.1:{server.port}")

    assert (str(error), error.for_good) == ("553 not your address", False)


async def test_after_a_letter_that_was_refused_the_next_one_goes() -> None:
    with mail_host() as host:
        host.refusals = {OPS: "550 no", EVE: "550 no"}
        async with mailer(host.url).session() as session:
            with pytest.raises(MailError):
                await session.post(LETTER, to_all=True)
            host.refusals = {}
            await session.post(LETTER, to_all=True)
            assert session.is_open

    assert len(host.mails) == 1


async def test_a_server_that_takes_a_letter_and_says_nothing_is_left() -> None:
    with mail_host() as host:
        host.open = False
        async with mailer(host.url, seconds=0.2).session() as session:
            with pytest.raises(MailError, match=r"^no answer in time$"):
                await session.post(LETTER, to_all=True)
            assert not session.is_open
        host.open = True


async def test_what_a_server_says_is_one_printable_line_of_bounded_length() -> None:
    said = "550-no\x1b[31m \u202eat\r\n550-https://u:c4n4ry@h/?c4n4ry\r\n550 " + "x" * 5000
    lines = ("EHLO", "250 x"), ("MAIL", "250 x"), ("RCPT", said), ("RCPT", said), ("RSET", "250 x")
    async with hostile(script(*lines)) as server:
        error = await refusal_of(f"smtp://127.0.0.1:{server.port}")

    assert str(error).isprintable()
    assert len(str(error)) < 700
    assert "c4n4ry" not in str(error)


def test_tls_offers_no_protocol_of_the_web() -> None:
    context = mailer("smtps://h")._context

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
