"""Send emails through the SMTP client, and script mail servers."""

from collections.abc import Sequence

import pytest

from daemon.core.errors import MailError
from daemon.core.model.notices import Email
from daemon.notifications.mail_server import MailServer
from daemon.notifications.smtp import Mailer
from daemon.notifications.smtp_session import RefusedRecipient
from tests.support.hostile import Connection, Script
from tests.support.mailserver import MailHost

OPS, EVE = "ops@example.com", "eve@example.com"
EMAIL = Email("hooks@example.com", (OPS, EVE), b"Subject: x\r\n\r\n.\r\n..hello\r\n")
PASSWORD = "p/w"
# A name for 127.0.0.1 that glibc resolves and that does not count as this machine.
REMOTE = "127.1"


def mailer(url: str, *, seconds: float = 5.0) -> Mailer:
    return Mailer(MailServer.from_url(url), step_seconds=seconds, message_seconds=seconds)


def with_login(host: MailHost, name: str, password: str = "p%2Fw") -> str:
    return f"smtp://hooks%40example.com:{password}@{name}:{host.port}"


async def send(url: str, *emails: Email, to_all: bool = True) -> list[Sequence[RefusedRecipient]]:
    async with mailer(url).session() as session:
        return [await session.send(email, to_all=to_all) for email in emails]


async def session_error(url: str, *, seconds: float = 5.0) -> str:
    """Return the message of the error with which opening a session fails."""
    with pytest.raises(MailError) as caught:
        async with mailer(url, seconds=seconds).session():
            pass
    assert not caught.value.permanent
    return str(caught.value)


def script(*lines: tuple[str, str]) -> Script:
    """Script a server that awaits (command, reply) pairs in order, and then only reads."""

    async def serve(connection: Connection) -> None:
        await connection.send(b"220 hello\r\n")
        for command, answer in lines:
            command_line = b""
            while not command_line.upper().startswith(command.encode()):
                command_line = await connection.read_some()
            await connection.send(f"{answer}\r\n".encode())
        while True:
            await connection.read_some()

    return serve


async def send_error(url: str, *, to_all: bool = True) -> MailError:
    with pytest.raises(MailError) as caught:
        await send(url, EMAIL, to_all=to_all)
    return caught.value
