"""The RFC 5322 message of every email: its headers, and its two bodies from templates."""

import email.policy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from daemon.core.model.notices import Email
from daemon.core.outcomes.endpoint_health import HealthLimits

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)


@dataclass(frozen=True, slots=True)
class EmailSettings:
    """Settings of all emails; `console_url` has no trailing slash."""

    sender: Address
    limits: HealthLimits
    console_url: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """
    An email before it is rendered.

    `template` is the name of two templates, without `.txt` and `.html`, which get `values`. The
    Message-ID is `message_id` at the sender's domain.
    """

    template: str
    values: Mapping[str, object]
    subject: str
    message_id: str
    date: datetime
    to: Sequence[Address]


def render(draft: Draft, settings: EmailSettings) -> Email:
    """Render the email; the recipients get it without display names in the envelope."""
    message = _headers(draft, settings.sender)
    text, html = (
        _TEMPLATES.get_template(f"{draft.template}.{kind}").render(draft.values)
        for kind in ("txt", "html")
    )
    message.set_content(text, cte="quoted-printable")
    message.add_alternative(html, subtype="html", cte="quoted-printable")
    recipients = tuple(address.addr_spec for address in draft.to)
    return Email(settings.sender.addr_spec, recipients, message.as_bytes())


def _headers(draft: Draft, sender: Address) -> EmailMessage:
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"] = sender
    message["To"] = draft.to
    # Encoded here: the library's own folding loses blanks between words of several scripts.
    message.set_raw("Subject", Header(draft.subject, "utf-8", header_name="Subject").encode())
    message["Date"] = draft.date
    message["Message-ID"] = f"<{draft.message_id}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834
    message["X-Auto-Response-Suppress"] = "All"  # the same, for Exchange
    return message
