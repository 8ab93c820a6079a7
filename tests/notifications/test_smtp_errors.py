"""Faults of mail servers are reported in a few words, in bounded time, without secrets."""

import asyncio
import base64
import time

import pytest

from tests.support.daemons import free_port, until
from tests.support.hostile import (
    DISCONNECTED,
    Connection,
    Script,
    closing_at_once,
    hostile,
    resetting,
    silent,
)
from tests.support.smtp import EMAIL, mailer, script, send, send_error, session_error


def echo_of(password: str) -> str:
    """A reply that repeats the login."""
    plain = base64.b64encode(f"\0hooks@example.com\0{password}".encode()).decode()
    return f"535 you said AUTH PLAIN {plain}, which is {password}"


async def test_an_unreadable_challenge_is_reported_as_a_refused_login() -> None:
    lines = ("EHLO", "250-x\r\n250 AUTH CRAM-MD5"), ("AUTH", "334 \u00e9\u00e9")
    async with hostile(script(*lines)) as server:
        error = await session_error(f"smtp://u:c4n4ry@127.0.0.1:{server.port}")

    assert error.endswith("refuses the login (334)")


async def test_a_login_that_the_server_repeats_is_not_reported() -> None:
    lines = ("EHLO", "250-x\r\n250 AUTH PLAIN"), ("AUTH", echo_of("c4n4ry"))
    async with hostile(script(*lines)) as server:
        error = await session_error(f"smtp://hooks%40example.com:c4n4ry@127.0.0.1:{server.port}")

    assert error.endswith("refuses the login (535)")


async def chattering(connection: Connection) -> None:
    await connection.send_endlessly(b"220-" + b"x" * 60_000)


async def answering_http(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await connection.read_some()


NO_LOGIN = (
    "The SMTP AUTH extension is not supported by this server. Try connecting via TLS (or STARTTLS)."
)
FAULTS: dict[str, tuple[Script, str]] = {
    "hangs up": (closing_at_once, "it closed the connection"),
    "resets": (resetting, "it closed the connection"),
    "speaks something else": (answering_http, "it does not speak SMTP"),
    "chatters": (chattering, "it does not speak SMTP"),
    "has no time": (script(("EHLO", "421 too busy")), "421 too busy"),
    "offers no login": (
        script(("EHLO", "250 x")),
        NO_LOGIN,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_fault_of_a_mail_server_is_reported_in_a_few_words(fault: str) -> None:
    behaviour, words = FAULTS[fault]
    async with hostile(behaviour) as server:
        error = await session_error(f"smtp://u:c4n4ry@127.0.0.1:{server.port}")

    assert error == f"smtp://127.0.0.1:{server.port}: {words}"


async def test_an_unreachable_server_is_reported_in_a_few_words() -> None:
    port = free_port()

    assert await session_error(f"smtp://127.0.0.1:{port}") == (
        f"smtp://127.0.0.1:{port}: connection refused"
    )
    assert await session_error(f"smtp://localhost:{port}") == (
        f"smtp://localhost:{port}: connection refused"
    )
    assert await session_error("smtp://mail.invalid") == (
        "smtp://mail.invalid:25: its name cannot be resolved"
    )


@pytest.mark.parametrize(
    ("behaviour", "scheme"),
    [
        (silent, "smtp"),
        (silent, "smtps"),
        (script(("EHLO", "250-x")), "smtp"),
        (script(("EHLO", "250-x\r\n250 AUTH PLAIN")), "smtp"),
        (script(("EHLO", "250-x\r\n250 STARTTLS"), ("STARTTLS", "220 go")), "smtp"),
    ],
)
async def test_a_silent_server_is_waited_for_no_longer_than_the_limit(
    behaviour: Script, scheme: str
) -> None:
    async with hostile(behaviour) as server:
        began = time.monotonic()
        error = await session_error(f"{scheme}://u:p@127.0.0.1:{server.port}", seconds=0.2)

    assert error.endswith(": no answer in time")
    assert time.monotonic() - began < 3


async def dripping(connection: Connection) -> None:
    await connection.drip(b"220-x\r\n" * 1000, every=0.01)


async def test_a_server_that_drips_is_waited_for_no_longer_than_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("daemon.notifications.smtp.CONNECT_SECONDS", 0.3)
    async with hostile(dripping) as server:
        error = await session_error(f"smtp://127.0.0.1:{server.port}")

    assert error.endswith(": no answer in time")


async def test_no_connection_stays_open_after_a_session_ends_or_is_cancelled() -> None:
    commands, closed = [], []

    async def listening(connection: Connection) -> None:
        await connection.send(b"220 x\r\n")
        try:
            while True:
                commands.append((await connection.read_some())[:4])
                await connection.send(
                    {b"EHLO": b"250 x\r\n", b"QUIT": b"221 x\r\n"}.get(commands[-1], b"")
                )
        except DISCONNECTED:
            closed.append(connection.number)

    async with hostile(listening) as server:
        url = f"smtp://127.0.0.1:{server.port}"
        async with mailer(url).session():
            pass
        sending = asyncio.create_task(send(url, EMAIL))
        await until(lambda: commands[-1] == b"MAIL")
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await until(lambda: closed == [1, 2])

    assert commands == [b"EHLO", b"QUIT", b"EHLO", b"MAIL"]


async def test_a_server_s_reply_is_reported_as_one_printable_line_of_bounded_length() -> None:
    said = "550-no\x1b[31m \u202eat\r\n550-https://u:c4n4ry@h/?c4n4ry\r\n550 " + "x" * 5000
    lines = ("EHLO", "250 x"), ("MAIL", "250 x"), ("RCPT", said), ("RCPT", said), ("RSET", "250 x")
    async with hostile(script(*lines)) as server:
        error = await send_error(f"smtp://127.0.0.1:{server.port}")

    assert str(error).isprintable()
    assert len(str(error)) < 700
    assert "c4n4ry" not in str(error)
