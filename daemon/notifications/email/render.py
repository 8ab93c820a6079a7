"""Rendering of a notice as the bytes of an email."""

import email.policy
from collections.abc import Sequence
from dataclasses import dataclass
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from daemon.core.model.notices import AttemptSummary, Email, LeasedNotice
from daemon.core.outcomes.endpoint_health import HealthLimits
from daemon.logs import one_line
from daemon.notifications.email.formats import time_text, url_text
from daemon.notifications.email.wording import Wording, later_change, wording_of

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
    """What all emails have in common; `console_url` has no trailing slash."""

    sender: Address
    limits: HealthLimits
    console_url: str | None = None


def render_email(
    notice: LeasedNotice,
    settings: EmailSettings,
    *,
    to: Sequence[Address],
    for_administrators: bool,
) -> Email:
    """
    Render the email to these addresses; `for_administrators` adds SQL and shell commands.

    A notice has the same Message-ID each time, so that a mail system can recognise an email that
    was sent twice.
    """
    wording = wording_of(notice, settings.limits)
    values = _template_values(wording, notice, settings, for_administrators=for_administrators)
    message = _headers(wording.subject, notice, settings, to=to)
    text, html = (
        _TEMPLATES.get_template(f"notice.{kind}").render(values) for kind in ("txt", "html")
    )
    message.set_content(text, cte="quoted-printable")
    message.add_alternative(html, subtype="html", cte="quoted-printable")
    recipients = tuple(address.addr_spec for address in to)
    return Email(settings.sender.addr_spec, recipients, message.as_bytes())


def _headers(
    subject: str, notice: LeasedNotice, settings: EmailSettings, *, to: Sequence[Address]
) -> EmailMessage:
    domain = settings.sender.domain
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"] = settings.sender
    message["To"] = to
    # Encoded here: the library's own folding loses blanks between words of several scripts.
    message.set_raw("Subject", Header(subject, "utf-8", header_name="Subject").encode())
    message["Date"] = notice.leased_at
    message["Message-ID"] = f"<notice-{notice.id}-{notice.webhook_id}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834
    message["X-Auto-Response-Suppress"] = "All"  # the same, for Exchange
    return message


def _template_values(
    wording: Wording, notice: LeasedNotice, settings: EmailSettings, *, for_administrators: bool
) -> dict[str, object]:
    """The templates' variables, all of them plain text."""
    console = settings.console_url
    explained = wording.explains_resuming
    return {
        "subject": wording.subject,
        "happened": wording.happened,
        "next": wording.next,
        "to_do": wording.to_do,
        "later_change": later_change(notice),
        "reason": one_line(notice.reason or ""),
        "facts": _facts(notice),
        "attempts": [_attempt_cells(attempt) for attempt in notice.attempts],
        "link": None if console is None else f"{console}/webhooks/{notice.webhook_id}",
        "resume": _resume_commands(notice, sql=for_administrators) if explained else [],
        "replay": _replay_commands(notice, shell=for_administrators) if explained else [],
    }


def _facts(notice: LeasedNotice) -> list[tuple[str, str]]:
    return [
        ("Name", one_line(notice.webhook_name)),
        ("Endpoint", url_text(notice.endpoint_url)),
        ("ID", str(notice.webhook_id)),
        ("Tenant", str(notice.tenant_id)),
        ("Failures", f"{notice.failures} in a row"),
        ("Detected", time_text(notice.created_at)),
    ]


def _attempt_cells(attempt: AttemptSummary) -> dict[str, str]:
    return {
        "at": time_text(attempt.at),
        "status": "no answer" if attempt.status is None else str(attempt.status),
        "took": "" if attempt.took_ms is None else f"{attempt.took_ms} ms",
        "result": one_line(attempt.error or "delivered"),
    }


def _resume_commands(notice: LeasedNotice, *, sql: bool) -> list[tuple[str, str]]:
    """Alternative ways to resume the webhook, each with a label."""
    api = f"POST /api/webhooks/{notice.webhook_id}/resume"
    update = f"UPDATE webhooks SET is_active = true WHERE id = '{notice.webhook_id}';"  # noqa: S608
    return [("API", api), ("SQL", update)] if sql else [("API", api)]


def _replay_commands(notice: LeasedNotice, *, shell: bool) -> list[tuple[str, str]]:
    """Alternative ways to replay the events since the pause, each with a label."""
    since = f"{notice.created_at:%Y-%m-%dT%H:%M:%SZ}"
    api = f'POST /api/replays {{"webhookId": "{notice.webhook_id}", "from": "{since}"}}'
    command = f"webhookd replay --webhook {notice.webhook_id} --from {since}"
    return [("API", api), ("Shell", command)] if shell else [("API", api)]
