"""Notices of an endpoint's transitions, and the mail that tells of them."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from daemon.core.model.ids import NoticeId, TenantId, WebhookId


class NoticeKind(StrEnum):
    """What the administrator is told; each at most once per transition, or per run of failures."""

    FAILING = "webhook_failing"
    HALF_WAY = "webhook_half_way"  # to being paused
    NEARLY_PAUSED = "webhook_nearly_paused"
    PAUSED = "webhook_paused"
    GONE = "webhook_gone"  # answered 410, and was paused for it


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """An attempt that was made, as a letter tells of it; `error` is None on success."""

    at: datetime
    status: int | None
    took_ms: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class DueNotice:
    """
    A leased notice, with all that its letter tells.

    `leased_until` is the fence. `failures` and `reason` are from when it was written, `attempts`,
    newest first, from before that; what is told of the webhook is as it was at `leased_at`.
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
    is_active: bool
    consecutive_failures: int
    last_success_at: datetime | None
    attempts: tuple[PastAttempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail as it goes to a mail server: bare addresses, and an RFC 5322 message in ASCII."""

    sender: str
    recipients: tuple[str, ...]
    message: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Notice:
    """One transition of one endpoint; `data` is a JSON object with its circumstances."""

    tenant_id: TenantId
    webhook_id: WebhookId
    kind: NoticeKind
    data: str
