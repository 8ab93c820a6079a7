"""
The one door to a mail server: connects, secures the way, logs in, and hands letters over.

A password is never sent in the clear, except to the very machine we run on. Whatever goes wrong is
a MailError of one line, which tells neither the password nor what was written in the letter.
"""

import asyncio
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

import aiosmtplib

from daemon.core.errors import MailError
from daemon.core.model.notices import Letter
from daemon.logs import one_line

# For each step up to the letter itself, and for all of them.
STEP_SECONDS = 10.0
CONNECT_SECONDS = 15.0
# A server that looks through a letter before it answers may take its time; who hangs up on it sends
# the letter twice. (RFC 1047; RFC 5321, section 4.5.3.2.6.)
LETTER_SECONDS = 60.0
QUIT_SECONDS = 2.0

# TimeoutError is an OSError; a ValueError is an answer that cannot be read.
TROUBLE = (aiosmtplib.SMTPException, OSError, ValueError)
_FULL_NAME = re.compile(r"[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+")


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where the mail server is, and how it is spoken to; `str()` names it without its password."""

    host: str
    port: int
    tls: bool  # from the first byte on
    user: str | None = None
    password: str = field(default="", repr=False)

    @classmethod
    def from_url(cls, url: str) -> "MailServer":
        """Read `smtp://user:password@host:port`, or smtps, which has been checked already."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        tls, user = parts.scheme == "smtps", parts.username
        usual = 465 if tls else 25 if user is None else 587
        return cls(
            parts.hostname,
            parts.port or usual,
            tls,
            None if user is None else unquote(user),
            unquote(parts.password or ""),
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'smtps' if self.tls else 'smtp'}://{host}:{self.port}"

    @property
    def is_this_machine(self) -> bool:
        """By its name alone: what a name leads to, others decide."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost" or self.host.endswith(".localhost")


@dataclass(frozen=True, slots=True)
class Refused:
    """An address that a letter did not go to; `for_good` says that waiting would not help."""

    address: str
    reason: str
    for_good: bool


class Mailer:
    """Opens sessions with one mail server; `letter_seconds` bounds the handing over of a letter."""

    def __init__(
        self,
        server: MailServer,
        *,
        step_seconds: float = STEP_SECONDS,
        letter_seconds: float = LETTER_SECONDS,
    ) -> None:
        self.server = server
        self._context = _verifying_context()
        self._step_seconds = step_seconds
        self.letter_seconds = letter_seconds

    @asynccontextmanager
    async def session(self) -> AsyncIterator["Session"]:
        """Connected, secured and logged in. Raises MailError, on the way in alone."""
        smtp = aiosmtplib.SMTP(
            hostname=self.server.host,
            port=self.server.port,
            use_tls=self.server.tls,
            start_tls=False,
            tls_context=self._context,
            timeout=self._step_seconds,
            local_hostname="localhost",  # until we know better, or a name server would be asked
        )
        try:
            await self._open(smtp)
            yield Session(smtp, letter_seconds=self.letter_seconds)
            with suppress(*TROUBLE):
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
                if await self._wants_tls(smtp):
                    await smtp.starttls()
                if server.user is not None:
                    await smtp.login(server.user, server.password)
        except aiosmtplib.SMTPAuthenticationError as error:
            # Not in the server's words: some repeat what they were told.
            raise MailError(f"{server} refuses the login ({error.code})") from None
        except TROUBLE as error:
            raise MailError(f"{server}: {_reason(error)}") from error

    async def _wants_tls(self, smtp: aiosmtplib.SMTP) -> bool:
        """Whether to begin TLS now. Raises MailError when it is needed and not to be had."""
        server = self.server
        if server.tls:
            return False
        offered = smtp.supports_extension("starttls")
        if server.is_this_machine:
            # Nobody is on the way; its certificate is seldom one that can be verified.
            return offered and server.user is not None and not smtp.supports_extension("auth")
        if server.user is not None and not offered:
            raise MailError(f"{server} offers no STARTTLS, and the password is not sent without")
        return offered


class Session:
    """A mail server that is ready to take letters, one after the other."""

    def __init__(self, smtp: aiosmtplib.SMTP, *, letter_seconds: float) -> None:
        self._smtp = smtp
        self._letter_seconds = letter_seconds

    @property
    def is_open(self) -> bool:
        return self._smtp.is_connected

    async def post(self, letter: Letter, *, to_all: bool) -> Sequence[Refused]:
        """
        Hand a letter over; returns the addresses that it did not go to, although it went to others.

        `to_all` sends it to nobody as long as any address is refused for the time being: greylists
        do that, and whoever has got a letter must not get it again. Raises MailError when nobody
        has got it, as far as we know: a server that dies while it takes a letter may have done so.
        """
        try:
            async with asyncio.timeout(self._letter_seconds):
                return await self._post(letter, to_all=to_all)
        except TROUBLE as error:
            if not isinstance(error, aiosmtplib.SMTPResponseException):
                self._smtp.close()
            raise MailError(_reason(error)) from error

    async def _post(self, letter: Letter, *, to_all: bool) -> Sequence[Refused]:
        # A sender who is refused is a matter of the settings; that can be mended, so it may pass.
        await self._smtp.mail(letter.sender)
        refused = [
            refusal
            for address in letter.recipients
            if (refusal := await self._refusal(address)) is not None
        ]
        passing = [each for each in refused if not each.for_good]
        if len(refused) == len(letter.recipients) or (to_all and passing):
            await self._forget()
            told = "; ".join(f"{each.address}: {each.reason}" for each in refused)
            raise MailError(told, for_good=not passing)
        try:
            await self._smtp.data(letter.message, timeout=self._letter_seconds)
        except aiosmtplib.SMTPDataError as error:
            raise MailError(_reason(error), for_good=_is_for_good(error)) from error
        return refused

    async def _refusal(self, address: str) -> Refused | None:
        try:
            await self._smtp.rcpt(address)
        except aiosmtplib.SMTPRecipientRefused as error:
            return Refused(address, _reason(error), _is_for_good(error))
        return None

    async def _forget(self) -> None:
        """Let the server forget the letter that was begun; one that does not is left."""
        try:
            await self._smtp.rset()
        except TROUBLE:
            self._smtp.close()


async def _greet(smtp: aiosmtplib.SMTP) -> None:
    try:
        await smtp.ehlo()
    except aiosmtplib.SMTPHeloError:
        if not smtp.is_connected:  # it has said that it is closing
            raise
        await smtp.helo()


def _verifying_context() -> ssl.SSLContext:
    """TLS 1.2 or newer, the system's authorities, names checked; no word of HTTP."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _own_name(smtp: aiosmtplib.SMTP) -> str:
    """What to greet with: our full name, or else our address. (RFC 5321, section 4.1.4.)"""
    name = socket.gethostname()
    if _FULL_NAME.fullmatch(name):
        return name
    address = str(smtp.get_transport_info("sockname")[0])
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _is_for_good(error: aiosmtplib.SMTPResponseException) -> bool:
    return 500 <= error.code < 600


def _reason(error: BaseException) -> str:
    """One line for people, that shows what the server said but nothing that we told it."""
    cause = error.__cause__ if isinstance(error, aiosmtplib.SMTPConnectError) else None
    match cause or error:
        case aiosmtplib.SMTPResponseException(code=code) if code < 0:
            return "it does not speak SMTP"
        case aiosmtplib.SMTPResponseException(code=code, message=message):
            return one_line(f"{code} {message}")
        case TimeoutError():
            return "no answer in time"
        case aiosmtplib.SMTPServerDisconnected():
            return "it hung up"
        case aiosmtplib.SMTPException(message=message):
            return one_line(message)
        case OSError() as network:
            return one_line(_network_reason(network))
        case _:
            return "its answer cannot be read"


def _network_reason(error: OSError) -> str:
    match error:
        case ssl.SSLCertVerificationError(verify_message=message):
            return f"its certificate cannot be verified: {message}"
        case ssl.SSLError(reason=str(reason)):
            return f"TLS failed: {reason.replace('_', ' ').lower()}"
        case socket.gaierror():
            return "its name cannot be looked up"
        case OSError(errno=int(number)) if number > 0:
            return os.strerror(number).lower()  # the loops' own texts speak of system calls
        case _:
            return "it cannot be connected to"
