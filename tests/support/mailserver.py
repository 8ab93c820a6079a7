"""An SMTP server on loopback, in a separate thread, which keeps the emails that it receives."""

import asyncio
import email
import email.policy
import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

from tests.support.daemons import free_port

# These log records come from the test's server and from another thread, not from the daemon.
logging.getLogger("mail.log").propagate = False


@dataclass(frozen=True, slots=True)
class Mail:
    """An email as received: the envelope, the parsed message, and its bytes."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage
    raw: bytes

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    def body(self, kind: str) -> str:
        """The text of the `plain` or `html` part."""
        part = self.message.get_body((kind,))
        assert part is not None
        content: str = part.get_content()
        return content.replace("\r\n", "\n")


class MailHost:
    """
    The server's behaviour and mailbox.

    `refusals` maps recipients to the replies that refuse them, `delays` to the seconds that a reply
    takes; `answer` is the reply to every
    message. While `answering` is false, messages get no reply; `begun` counts all of them.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.mails: list[Mail] = []
        self.refusals: dict[str, str] = {}
        self.delays: dict[str, float] = {}
        self.answer = "250 taken"
        self.answering = True
        self.begun = 0
        self.logins: list[tuple[bytes, bytes]] = []

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def to(self, address: str) -> list[Mail]:
        return [mail for mail in self.mails if address in mail.recipients]

    async def handle_RCPT(  # noqa: N802  named by aiosmtpd
        self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: Any
    ) -> str:
        await asyncio.sleep(self.delays.get(address, 0.0))
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        self.begun += 1
        while not self.answering:  # noqa: ASYNC110  set in another thread
            await asyncio.sleep(0.005)
        if not self.answer.startswith("250"):
            return self.answer
        raw = envelope.content
        assert isinstance(raw, bytes)
        message = email.message_from_bytes(raw, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        assert isinstance(envelope.mail_from, str)
        self.mails.append(Mail(envelope.mail_from, tuple(envelope.rcpt_tos), message, raw))
        return self.answer

    def authenticate(
        self, _server: Any, _session: Any, _envelope: Any, _method: str, data: LoginPassword
    ) -> AuthResult:
        self.logins.append((data.login, data.password))
        success = data == LoginPassword(b"hooks@example.com", b"p/w")
        return AuthResult(success=success, handled=success)


class _Controller(Controller):
    def factory(self) -> SMTP:
        # Without a loop, SMTP() looks one up under temporary warning filters. Filters belong to
        # the process, not to the thread, so they could outlast the call in another thread.
        return SMTP(self.handler, loop=self.loop, **self.SMTP_kwargs)


@contextmanager
def mail_host(
    host: MailHost | None = None,
    *,
    starttls: ssl.SSLContext | None = None,
    tls: ssl.SSLContext | None = None,
    login: bool = False,
) -> Iterator[MailHost]:
    """Run a server, on the port of an earlier `host` if given; `login` makes login mandatory."""
    host = host or MailHost(free_port())
    server = _Controller(
        host,
        hostname="127.0.0.1",
        port=host.port,
        ssl_context=tls,
        tls_context=starttls,
        require_starttls=starttls is not None and login,
        authenticator=host.authenticate,
        auth_required=login,
        auth_require_tls=starttls is not None,
    )
    server.start()
    try:
        yield host
    finally:
        host.answering = True  # a pending message would keep the server from stopping
        server.stop()
