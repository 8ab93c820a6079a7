"""
The values of one attempt, in the order of the pipeline: claim, request, outcome, verdict, result.

What an endpoint does to us is a value, `Outcome`, and never an exception.
"""

from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import TypeAlias

from daemon.core.model.delivery_options import DEFAULT_ATTEMPT, AttemptOptions
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.core.model.secrets import ClientCertificate, StoredSecrets
from daemon.core.model.value import value

LONGEST_HEADER_VALUE = 2048  # characters that are kept of a header's value in a response

ClaimKey: TypeAlias = tuple[DeliveryId, datetime]


@value(frozen=True, slots=True)
class Claim:
    """
    One leased attempt, with everything needed to make it.

    `leased_until` is the fence: a result is stored only while the row still has this value. `data`
    is JSON text or None (SQL's NULL), and `payload_bytes` its size as PostgreSQL prints it; None if
    it was not measured. Data of more than a few kilobytes are not `fetched` with the claim.
    `attempt` is the row's `attempt_number`, and `chain_start` that of the chain's first attempt.
    `failing_since` is the endpoint's at the claim: None if it was not failing. `waiting_since` is
    when an event came into the inbox or, for attempts with a row, when that was inserted; None if
    that is not known.

    A first attempt that is made from the inbox (`from_inbox`) has no row until its result is
    stored. Its fence is the lease of its event; `leased_until` was that when the event was matched.
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
    payload_bytes: int | None = None
    fetched: bool = True
    failing_since: datetime | None = None
    from_inbox: bool = False
    chain_start: int = 1
    waiting_since: datetime | None = None
    options: AttemptOptions = DEFAULT_ATTEMPT

    @property
    def key(self) -> ClaimKey:
        """
        Names this claim among all of its row.

        A row is claimed again when a lease lapses, or when a crash of the server undoes one.
        """
        return self.delivery_id, self.leased_until

    @property
    def place(self) -> int:
        """The attempt's place in its chain, and so in the retry schedule: 1 is the first."""
        return self.attempt - self.chain_start + 1


@value(frozen=True, slots=True)
class Request:
    """
    One POST, ready to be sent: its headers contain the signatures of its body.

    Each of the `header_lines` ends with CR and LF.
    """

    url: str
    header_lines: str = field(repr=False)
    body: bytes = field(repr=False)
    # The webhook's custom headers: sent like the others, but never shown or logged.
    private_headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    client: ClientCertificate | None = None
    tenant_id: TenantId | None = None  # whose share of the lookups it takes
    timeout_seconds: float | None = None  # `delivery.timeout` by default


class FailureKind(StrEnum):
    """Why there is no response: the label that metrics and logs count by."""

    REFUSED_TARGET = "refused_target"  # the egress rules refuse this URL
    UNUSABLE = "unusable"  # the webhook's secret, headers or certificate cannot be used
    LOOKUP = "lookup"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    DISCONNECTED = "disconnected"
    PROTOCOL = "protocol"
    TOO_LARGE = "too_large"  # the body is larger than `delivery.max_body_bytes`


@value(frozen=True, slots=True)
class Response:
    """
    The receiver's response, safe to store: text without NUL or surrogates.

    The names of `headers` are lower-case, and values are cut off after LONGEST_HEADER_VALUE
    characters. `body` has at most the first 16 KiB; `truncated` says that there was more.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str
    truncated: bool = False


@lru_cache(64)  # responses of one endpoint differ in little but the date
def header_characters(headers: tuple[tuple[str, str], ...]) -> int:
    """Return the length of all names and values together."""
    return sum(len(name) + len(text) for name, text in headers)


@value(frozen=True, slots=True)
class Failure:
    """
    Why there is no response.

    `message` is shown to the customer and reveals nothing about our network.
    """

    kind: FailureKind
    message: str


@value(frozen=True, slots=True)
class Trace:
    """
    The request's head as sent, without secrets, and where the time went.

    `stages` has the milliseconds of lookup, connect, tls and answer, as far as each was reached.
    """

    head: str
    stages: tuple[tuple[str, int], ...]


@value(frozen=True, slots=True)
class Outcome:
    """
    The outcome of one POST; `took_ms` lasts from the lookup to the last byte read.

    A request that was never sent has no trace.
    """

    result: Response | Failure
    took_ms: int
    trace: Trace | None = field(default=None, compare=False)


@value(frozen=True, slots=True)
class Verdict:
    """
    What one outcome means for its delivery.

    `retry_in` is the wait until the next attempt; None ends the delivery. `error` is one sentence
    for the customer, None on success. `gone` says that the endpoint answered 410 Gone. `too_large`
    says that nothing was sent, which says nothing about the endpoint.
    """

    delivered: bool
    status: int | None
    error: str | None
    retry_in: timedelta | None
    gone: bool = False
    too_large: bool = False


@value(frozen=True, slots=True)
class AttemptResult:
    """An attempt with its outcome and verdict; `signature` is None if no request was signed."""

    claim: Claim
    outcome: Outcome
    verdict: Verdict
    signature: str | None
