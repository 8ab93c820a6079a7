"""
The words of the house: ids and frozen values that the rooms hand to one another.

Nothing here acts. A value says what was read, what happened, or what was decided.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.core.model.secrets import ClientCertificate, StoredSecrets


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
class Request:
    """One POST, ready to be sent: the body is already signed by the headers."""

    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    # The webhook's own headers: sent like the others, and shown to nobody.
    private_headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    client: ClientCertificate | None = None


class FailureKind(StrEnum):
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
class Response:
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

    fault: FailureKind
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

    result: Response | Failure
    took_ms: int
    trace: Trace | None = field(default=None, compare=False)


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
class AttemptResult:
    """One attempt that was made, and what it came to; `signature` is None when none was made."""

    claim: Claim
    outcome: Outcome
    verdict: Verdict
    signature: str | None
