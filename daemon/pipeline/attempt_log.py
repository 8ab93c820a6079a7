"""One canonical log line for each stored attempt, and one for each transition of an endpoint."""

import structlog

from daemon.core.model.attempts import AttemptResult, Claim
from daemon.core.model.notices import Notice

log = structlog.get_logger()
# Bound once: the line of an attempt is the one hot log line of the daemon.
attempt_log = structlog.get_logger().bind()


def log_attempt(result: AttemptResult) -> None:
    """Log an attempt whose result is stored."""
    claim, verdict = result.claim, result.verdict
    line: dict[str, object] = {
        "event_id": str(claim.event_id),
        "delivery_id": str(claim.delivery_id),
        "webhook_id": str(claim.webhook_id),
        "attempt": claim.attempt,
        "status": verdict.status,
        "took_ms": result.outcome.took_ms,
    }
    if verdict.error is not None:
        line["error"] = verdict.error
    if verdict.retry_in is not None:
        line["retry_in_s"] = round(verdict.retry_in.total_seconds(), 3)
    attempt_log.info("delivery.attempted", **line)


def log_lost_lease(claim: Claim) -> None:
    """Log a result that came after its lease was lost, and so changed nothing."""
    log.warning("delivery.lease_lost", delivery_id=str(claim.delivery_id))


def log_transition(notice: Notice) -> None:
    """Log a transition of an endpoint's health."""
    log.warning("endpoint.changed", kind=notice.kind.value, webhook_id=str(notice.webhook_id))
