"""A sample notice, its rendered email, and the parts of that email."""

import email
import email.policy
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

from daemon.core.model.ids import NoticeId, TenantId, WebhookId
from daemon.core.model.notices import AttemptSummary, Email, LeasedNotice, NoticeKind
from daemon.core.outcomes.endpoint_health import HealthLimits
from daemon.core.policy.email_addresses import parse_address
from daemon.notifications.email import EmailSettings, render_email

NOW = datetime(2025, 11, 25, 14, 30, tzinfo=UTC)
SETTINGS = EmailSettings(
    parse_address("PenguinMails <hooks@example.com>"), HealthLimits(), "https://console.test/c"
)
OPS = parse_address("Ops <ops@example.com>")
WEBHOOK = UUID(int=0xABC)
SERVER_ERROR = "the receiver answered 500 Internal Server Error"

NOTICE = LeasedNotice(
    id=NoticeId(7),
    kind=NoticeKind.FAILING,
    tenant_id=TenantId(UUID(int=0xDEF)),
    webhook_id=WebhookId(WEBHOOK),
    created_at=NOW,
    tries=0,
    leased_at=NOW + timedelta(seconds=2),
    leased_until=NOW + timedelta(minutes=3),
    failures=5,
    reason=SERVER_ERROR,
    webhook_name="CRM Contact Sync",
    endpoint_url="https://yourapp.com/webhooks",
    notification_email=None,
    unconfirmed_email=None,
    is_active=True,
    consecutive_failures=5,
    last_success_at=NOW - timedelta(hours=1),
    attempts=(
        AttemptSummary(NOW, 500, 123, SERVER_ERROR),
        AttemptSummary(NOW - timedelta(minutes=1), None, 5000, "no answer within 5 s"),
        AttemptSummary(NOW - timedelta(hours=1), 200, 12, None),
    ),
)


def email_of(
    notice: LeasedNotice, *, for_administrators: bool = True, settings: EmailSettings = SETTINGS
) -> Email:
    return render_email(notice, settings, to=[OPS], for_administrators=for_administrators)


def parsed(rendered: Email) -> EmailMessage:
    message = email.message_from_bytes(rendered.message, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def body(rendered: Email, kind: str) -> str:
    part = parsed(rendered).get_body((kind,))
    assert part is not None
    text: str = part.get_content()
    return text.replace("\r\n", "\n")


def plain(notice: LeasedNotice, **how: Any) -> str:
    """Return the plain-text body as one line."""
    return " ".join(body(email_of(notice, **how), "plain").split())


class Page(HTMLParser):
    """The visible text of an HTML page, its tags and its links."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str | None] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in {"href", "src"}]

    def handle_data(self, data: str) -> None:
        self.text += data


# The HTML elements that an email consists of.
TAGS = {
    *("html", "head", "meta", "title", "body", "h1", "h2", "p", "strong", "bdi", "a", "code"),
    *("table", "tr", "th", "td"),
}
