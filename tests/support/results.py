"""Results of attempts, as the dispatcher gives them to the result writer."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from daemon.core.model.attempts import (
    AttemptResult,
    Claim,
    Failure,
    FailureKind,
    Outcome,
    Response,
    Verdict,
)
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.core.model.secrets import StoredSecrets

NOBODY = UUID(int=1)
LONG_AGO = datetime(2025, 11, 25, tzinfo=UTC)
URL = "https://receiver.example/"


def attempt_result(
    ended: int | FailureKind,
    *,
    webhook: UUID = NOBODY,
    took_ms: int = 40,
    began: datetime = LONG_AGO,
) -> AttemptResult:
    """The result of an attempt that `ended` with a status, or without a response."""
    webhook_id = WebhookId(webhook)
    claim = Claim(
        delivery_id=DeliveryId(uuid4()),
        webhook_id=webhook_id,
        tenant_id=TenantId(NOBODY),
        event_id=EventId(NOBODY),
        event_type="email.opened",
        event_created_at=began,
        data=None,
        attempt=1,
        claimed_at=began,
        leased_until=began,
        endpoint_url=URL,
        secrets=StoredSecrets(webhook_id, "whsec_x", endpoint_url=URL),
    )
    if isinstance(ended, FailureKind):
        too_large = ended == FailureKind.TOO_LARGE
        verdict = Verdict(False, None, "no", retry_in=None, too_large=too_large)
        return AttemptResult(claim, Outcome(Failure(ended, "no"), took_ms), verdict, None)
    verdict = Verdict(200 <= ended <= 299, ended, None, retry_in=None)
    return AttemptResult(claim, Outcome(Response(ended, (), ""), took_ms), verdict, None)
