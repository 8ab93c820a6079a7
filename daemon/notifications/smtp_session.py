"""A session with a mail server: emails are sent one after another over one connection."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import aiosmtplib

from daemon.core.errors import MailError
from daemon.core.model.notices import Email
from daemon.notifications.smtp_errors import SMTP_ERRORS, describe, is_permanent


@dataclass(frozen=True, slots=True)
class RefusedRecipient:
    """A recipient that the server refused; `permanent` says that a retry cannot help."""

    address: str
    reason: str
    permanent: bool


class SmtpSession:
    """Sends emails; `message_seconds` bounds the time for each."""

    def __init__(self, smtp: aiosmtplib.SMTP, *, message_seconds: float) -> None:
        self._smtp = smtp
        self._message_seconds = message_seconds

    @property
    def is_open(self) -> bool:
        """Whether another email can be sent."""
        return self._smtp.is_connected

    async def send(self, email: Email, *, to_all: bool) -> Sequence[RefusedRecipient]:
        """
        Send an email; returns the recipients that did not get it although others did.

        `to_all` sends it to none while any recipient is refused temporarily, as greylists do: a
        retry would otherwise reach the other recipients twice. Raises MailError when no recipient
        got it as far as is known; a server that fails during the transfer may have accepted it.
        """
        try:
            async with asyncio.timeout(self._message_seconds):
                return await self._send(email, to_all=to_all)
        except SMTP_ERRORS as error:
            if not isinstance(error, aiosmtplib.SMTPResponseException):
                self._smtp.close()
            raise MailError(describe(error)) from error

    async def _send(self, email: Email, *, to_all: bool) -> Sequence[RefusedRecipient]:
        # A refused sender address is temporary: the settings can be corrected.
        await self._smtp.mail(email.sender)
        refused = await self._refused_of(email.recipients)
        temporary = [each for each in refused if not each.permanent]
        if len(refused) == len(email.recipients) or (to_all and temporary):
            await self._reset()
            reasons = "; ".join(f"{each.address}: {each.reason}" for each in refused)
            raise MailError(reasons, permanent=not temporary)
        try:
            await self._smtp.data(email.message, timeout=self._message_seconds)
        except aiosmtplib.SMTPDataError as error:
            raise MailError(describe(error), permanent=is_permanent(error)) from error
        return refused

    async def _refused_of(self, recipients: Sequence[str]) -> list[RefusedRecipient]:
        refused = []
        for address in recipients:
            try:
                await self._smtp.rcpt(address)
            except aiosmtplib.SMTPRecipientRefused as error:
                refused.append(RefusedRecipient(address, describe(error), is_permanent(error)))
        return refused

    async def _reset(self) -> None:
        """Abort the email that was begun; disconnect from a server that cannot do so."""
        try:
            await self._smtp.rset()
        except SMTP_ERRORS:
            self._smtp.close()
