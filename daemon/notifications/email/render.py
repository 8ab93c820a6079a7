"""From a notice to the bytes of a mail."""

import email.policy
from collections.abc import Sequence
from dataclasses import dataclass
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from daemon.core.model.notices import DueNotice, Letter, PastAttempt
from daemon.core.outcomes.health import HealthLimits
from daemon.logs import one_line
from daemon.notifications.email.wording import Words, meanwhile, moment, place, words_of

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
    """What all letters have in common; `console_url` has no slash at its end."""

    sender: Address
    limits: HealthLimits
    console_url: str | None = None


def render_email(
    notice: DueNotice, head: EmailSettings, *, to: Sequence[Address], operators: bool
) -> Letter:
    """
    The letter to these addresses; `operators` are told the SQL and the command that help, too.

    The same notice has the same Message-ID whenever it is composed, so that a letter which was
    taken over twice can be known for one.
    """
    words = words_of(notice, head.limits)
    told = _told(words, notice, head, operators=operators)
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"] = head.sender
    message["To"] = to
    # Encoded here: the library's own folding loses blanks between words of several scripts.
    message.set_raw("Subject", Header(words.subject, "utf-8", header_name="Subject").encode())
    message["Date"] = notice.leased_at
    message["Message-ID"] = f"<notice-{notice.id}-{notice.webhook_id}@{head.sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834
    message["X-Auto-Response-Suppress"] = "All"  # the same, for Exchange
    text, html = (
        _TEMPLATES.get_template(f"notice.{kind}").render(told) for kind in ("txt", "html")
    )
    message.set_content(text, cte="quoted-printable")
    message.add_alternative(html, subtype="html", cte="quoted-printable")
    recipients = tuple(address.addr_spec for address in to)
    return Letter(head.sender.addr_spec, recipients, message.as_bytes())


def _told(
    words: Words, notice: DueNotice, head: EmailSettings, *, operators: bool
) -> dict[str, object]:
    """What the templates fill in, all of it plain text."""
    console = head.console_url
    return {
        "subject": words.subject,
        "happened": words.happened,
        "next": words.next,
        "meanwhile": meanwhile(notice),
        "reason": one_line(notice.reason or ""),
        "facts": _facts(notice),
        "attempts": [_row(attempt) for attempt in notice.attempts],
        "link": None if console is None else f"{console}/webhooks/{notice.webhook_id}",
        "resuming": _resuming(notice, operators=operators) if words.resume else [],
        "replaying": _replaying(notice, operators=operators) if words.resume else [],
    }


def _facts(notice: DueNotice) -> list[tuple[str, str]]:
    return [
        ("Webhook", one_line(notice.webhook_name)),
        ("Endpoint", place(notice.endpoint_url)),
        ("Id", str(notice.webhook_id)),
        ("Tenant", str(notice.tenant_id)),
        ("Failures", f"{notice.failures} in a row"),
        ("Noticed", moment(notice.created_at)),
    ]


def _row(attempt: PastAttempt) -> dict[str, str]:
    return {
        "at": moment(attempt.at),
        "status": "no answer" if attempt.status is None else str(attempt.status),
        "took": "" if attempt.took_ms is None else f"{attempt.took_ms} ms",
        "error": one_line(attempt.error or "delivered"),
    }


def _resuming(notice: DueNotice, *, operators: bool) -> list[str]:
    """The ways to resume it, a line each."""
    api = f"POST /api/webhooks/{notice.webhook_id}/resume"
    sql = f"UPDATE webhooks SET is_active = true WHERE id = '{notice.webhook_id}';"  # noqa: S608
    return [api, sql] if operators else [api]


def _replaying(notice: DueNotice, *, operators: bool) -> list[str]:
    """The ways to have what came since the pause, a line each."""
    since = f"{notice.created_at:%Y-%m-%dT%H:%M:%SZ}"
    api = f'POST /api/replays {{"webhookId": "{notice.webhook_id}", "from": "{since}"}}'
    command = f"webhookd replay --webhook {notice.webhook_id} --from {since}"
    return [api, command] if operators else [api]
