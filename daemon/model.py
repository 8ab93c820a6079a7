"""
The words of the house: ids and frozen values that the rooms hand to one another.

Nothing here acts. A value says what was read, what happened, or what was decided.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType
from uuid import UUID

# What stands where something is that nobody may see.
HIDDEN = "[hidden]"

TenantId = NewType("TenantId", UUID)
WebhookId = NewType("WebhookId", UUID)
EventId = NewType("EventId", UUID)
DeliveryId = NewType("DeliveryId", UUID)
NoticeId = NewType("NoticeId", int)
ReplayId = NewType("ReplayId", UUID)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not, in words a customer understands."""

    reason: str


@dataclass(frozen=True, slots=True)
class Event:
    """
    A committed row of `webhook_events` that waits to be fanned out.

    `only` names the one webhook that has not been served yet; None stands for every webhook.
    """

    id: EventId
    tenant_id: TenantId
    type: str
    created_at: datetime
    only: WebhookId | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """
    What decides whether a webhook wants an event; `event_filters` is JSON text or None.

    `filter_error` is what the webhook's row says about its filter so far.
    """

    webhook_id: WebhookId
    tenant_id: TenantId
    event_types: tuple[str, ...] | None
    event_filters: str | None
    filter_error: str | None = None


@dataclass(frozen=True, slots=True)
class StoredSecrets:
    """
    A webhook's secrets as its row holds them, each sealed or plain.

    `previous` is there while a rotation overlaps, `custom_headers` is JSON text, and `sealed_with`
    names the key that all of them are known to lie under.
    """

    webhook_id: WebhookId
    current: str = field(repr=False)
    previous: str | None = field(default=None, repr=False)
    custom_headers: str | None = field(default=None, repr=False)
    client_certificate: str | None = None
    client_key: str | None = field(default=None, repr=False)
    sealed_with: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """
    One leased attempt, with all that is needed to make it.

    `leased_until` is the fence: a result is stored only while the row still bears it. `attempt`
    counts from 1, and again from there when the event is `replayed`.
    """

    delivery_id: DeliveryId
    webhook_id: WebhookId
    tenant_id: TenantId
    event_id: EventId
    event_type: str
    event_created_at: datetime
    data: str | None
    attempt: int
    claimed_at: datetime
    leased_until: datetime
    endpoint_url: str
    secrets: StoredSecrets
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """With which a webhook shows the receiver who calls: a chain and its key, both in PEM."""

    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a webhook's requests are signed with, and what they carry beside: all of it open."""

    secret: str = field(repr=False)
    previous_secret: str | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    client: ClientCertificate | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One POST, ready to be sent: the body is already signed by the headers."""

    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    # The webhook's own headers: sent like the others, and shown to nobody.
    private_headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    client: ClientCertificate | None = None


class Fault(StrEnum):
    """Why no answer came, in the one word that metrics and logs count by."""

    REFUSED_TARGET = "refused_target"  # we may not call this URL or address
    UNUSABLE = "unusable"  # the webhook's own URL or secret cannot be used
    LOOKUP = "lookup"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    DISCONNECTED = "disconnected"
    PROTOCOL = "protocol"


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What the receiver said, made safe to store: text without NUL or surrogates.

    `body` holds at most the first 16 KiB; `truncated` says that there was more.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer, and why: `message` is for the customer and reveals nothing of our network."""

    fault: Fault
    message: str


@dataclass(frozen=True, slots=True)
class Trace:
    """
    The request's head as it was sent, but for secrets, and where the time went.

    `stages` has milliseconds for those of lookup, connect, tls and answer that there were.
    """

    head: str
    stages: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What came of one POST, and how long it took from the lookup to the last byte we read.

    There is no trace of what was never sent.
    """

    result: Answer | Failure
    took_ms: int
    trace: Trace | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Health:
    """An endpoint's state, as the row of `webhooks` holds it."""

    is_active: bool
    is_failing: bool
    consecutive_failures: int


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
class Verdict:
    """
    What one outcome means for its delivery.

    `retry_in` is the wait until the next attempt; None ends the delivery. `error` is one sentence
    for the customer, None on success. `gone` says that the endpoint asked never to be called again.
    """

    delivered: bool
    status: int | None
    error: str | None
    retry_in: timedelta | None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Attempted:
    """One attempt that was made, and what it came to; `signature` is None when none was made."""

    claim: Claim
    outcome: Outcome
    verdict: Verdict
    signature: str | None
