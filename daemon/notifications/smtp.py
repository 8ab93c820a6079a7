"""
Connections to the mail server: connect, negotiate TLS, log in.

A password is never sent in the clear, except to this machine itself. Every failure is a MailError
of one line that contains neither the password nor any part of an email.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiosmtplib

from daemon.core.errors import MailError
from daemon.notifications.mail_server import MailServer
from daemon.notifications.smtp_errors import SMTP_ERRORS, describe
from daemon.notifications.smtp_session import SmtpSession

# For each step before the first email, and for all of these steps together.
STEP_SECONDS = 10.0
CONNECT_SECONDS = 15.0
# A server may scan an email before it answers. A client that disconnects too early has to send the
# email again, and it arrives twice (RFC 1047; RFC 5321, section 4.5.3.2.6).
MESSAGE_SECONDS = 60.0
QUIT_SECONDS = 2.0

_FULL_NAME = re.compile(r"[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+")


class Mailer:
    """Opens sessions with one mail server; `message_seconds` bounds the time for each email."""

    def __init__(
        self,
        server: MailServer,
        *,
        step_seconds: float = STEP_SECONDS,
        message_seconds: float = MESSAGE_SECONDS,
    ) -> None:
        self.server = server
        self.message_seconds = message_seconds
        self._context = _verifying_context()
        self._step_seconds = step_seconds

    @asynccontextmanager
    async def session(self) -> AsyncIterator[SmtpSession]:
        """
        A session that is connected, secured and logged in.

        Raises MailError when it cannot be opened, never when it is closed.
        """
        smtp = aiosmtplib.SMTP(
            hostname=self.server.host,
            port=self.server.port,
            use_tls=self.server.tls,
            start_tls=False,
            tls_context=self._context,
            timeout=self._step_seconds,
            local_hostname="localhost",  # replaced once connected; the default asks a name server
        )
        try:
            await self._open(smtp)
            yield SmtpSession(smtp, message_seconds=self.message_seconds)
            with suppress(*SMTP_ERRORS):
                await smtp.quit(timeout=QUIT_SECONDS)
        finally:
            smtp.close()

    async def _open(self, smtp: aiosmtplib.SMTP) -> None:
        server = self.server
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await smtp.connect()
                smtp.local_hostname = _own_name(smtp)
                await _greet(smtp)
                if await self._needs_starttls(smtp):
                    await smtp.starttls()
                if server.user is not None:
                    await smtp.login(server.user, server.password)
        except aiosmtplib.SMTPAuthenticationError as error:
            # Without the server's words: some servers repeat the login.
            raise MailError(f"{server} refuses the login ({error.code})") from None
        except SMTP_ERRORS as error:
            raise MailError(f"{server}: {describe(error)}") from error

    async def _needs_starttls(self, smtp: aiosmtplib.SMTP) -> bool:
        """Whether to upgrade to TLS now. Raises MailError if TLS is needed and not offered."""
        server = self.server
        if server.tls:
            return False
        offered = smtp.supports_extension("starttls")
        if server.is_this_machine:
            # No network to eavesdrop on, and a local certificate can seldom be verified.
            return offered and server.user is not None and not smtp.supports_extension("auth")
        if server.user is not None and not offered:
            raise MailError(f"{server} does not offer STARTTLS, and a password is not sent without")
        return offered


async def _greet(smtp: aiosmtplib.SMTP) -> None:
    try:
        await smtp.ehlo()
    except aiosmtplib.SMTPHeloError:
        if not smtp.is_connected:  # the server has announced that it closes
            raise
        await smtp.helo()


def _verifying_context() -> ssl.SSLContext:
    """TLS 1.2 or newer, the system's authorities, host names checked, no ALPN."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _own_name(smtp: aiosmtplib.SMTP) -> str:
    """The name for EHLO: our full host name, else our address (RFC 5321, section 4.1.4)."""
    name = socket.gethostname()
    if _FULL_NAME.fullmatch(name):
        return name
    address = str(smtp.get_transport_info("sockname")[0])
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
