"""Notices about changes in an endpoint's health, and the emails that report them."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from daemon.core.model.ids import NoticeId, TenantId, WebhookId


class NoticeKind(StrEnum):
    """The subject of a notice; written at most once per transition or run of failures."""

    FAILING = "webhook_failing"
    HALF_WAY = "webhook_half_way"  # half of the failures that pause it
    NEARLY_PAUSED = "webhook_nearly_paused"
    PAUSED = "webhook_paused"
    GONE = "webhook_gone"  # paused because the endpoint answered 410
    RECOVERED = "webhook_recovered"  # the first success of an endpoint that was failing


@dataclass(frozen=True, slots=True)
class Notice:
    """One transition of one endpoint; `data` is a JSON object with the circumstances."""

    tenant_id: TenantId
    webhook_id: WebhookId
    kind: NoticeKind
    data: str


@dataclass(frozen=True, slots=True)
class AttemptSummary:
    """A finished attempt as an email lists it; `error` is None after a success."""

    at: datetime
    status: int | None
    took_ms: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class LeasedNotice:
    """
    A notice leased for mailing, with everything that its email reports.

    `leased_until` is the fence, and before the lease the time at which the notice was due.
    `failures` and `reason` were recorded with the notice; `attempts` (newest first) were made
    before it; the webhook's own columns are as of `leased_at`.
    `unconfirmed_email` is the key of the address that the API stored and that is not confirmed.
    """

    id: NoticeId
    kind: NoticeKind
    tenant_id: TenantId
    webhook_id: WebhookId
    created_at: datetime
    tries: int
    leased_at: datetime
    leased_until: datetime
    failures: int
    reason: str | None
    webhook_name: str
    endpoint_url: str
    notification_email: str | None
    unconfirmed_email: str | None
    is_active: bool
    consecutive_failures: int
    last_success_at: datetime | None
    attempts: tuple[AttemptSummary, ...] = ()


@dataclass(frozen=True, slots=True)
class Email:
    """An email for a mail server: bare addresses and an RFC 5322 message in ASCII."""

    sender: str
    recipients: tuple[str, ...]
    message: bytes = field(repr=False)
