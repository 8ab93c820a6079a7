"""The log of the pipeline: one canonical line for each stored attempt, one for each transition."""

from collections.abc import Sequence

import structlog

from daemon.core.model.attempts import AttemptResult, Claim
from daemon.core.model.ids import DeliveryId
from daemon.core.model.notices import Notice
from daemon.core.wire.url_hosts import host_of
from daemon.pipeline.failure_lines import FailureLines


class AttemptLog:
    """Writes the lines; its logger is bound once, because the line of an attempt is hot."""

    def __init__(self) -> None:
        self._log = structlog.get_logger().bind()
        self._failures = FailureLines(self._unlogged)

    def attempted(self, result: AttemptResult) -> None:
        """Log an attempt whose result is stored, unless many of its webhook have failed lately."""
        claim, verdict = result.claim, result.verdict
        if not verdict.delivered and not self._failures.admits(claim):
            return
        line: dict[str, object] = {
            "event_id": str(claim.event_id),
            "delivery_id": str(claim.delivery_id),
            "webhook_id": str(claim.webhook_id),
            "tenant_id": str(claim.tenant_id),
            "event_type": claim.event_type,
            "host": host_of(claim.endpoint_url),
            "attempt": claim.attempt,
            "status": verdict.status,
            "took_ms": result.outcome.took_ms,
        }
        if verdict.error is not None:
            line["error"] = verdict.error
        if verdict.retry_in is not None:
            line["retry_in_s"] = round(verdict.retry_in.total_seconds(), 3)
        self._log.info("delivery.attempted", **line)

    def close(self) -> None:
        """Log what was not logged until now."""
        self._failures.end()

    def _unlogged(self, claim: Claim, count: int) -> None:
        self._log.warning(
            "delivery.failures_unlogged",
            webhook_id=str(claim.webhook_id),
            tenant_id=str(claim.tenant_id),
            host=host_of(claim.endpoint_url),
            count=count,
        )

    def leases_lost(self, claims: Sequence[Claim]) -> None:
        """
        Log results that came after their leases were lost, and so changed nothing.

        One line names the first of them: there may be hundreds, as when their webhook was deleted.
        """
        first = claims[0]
        self._log.warning(
            "delivery.lease_lost",
            delivery_id=str(first.delivery_id),
            webhook_id=str(first.webhook_id),
            count=len(claims),
        )

    def id_taken(self, delivery_id: DeliveryId, row_id: DeliveryId) -> None:
        """Log a result that has another id than its attempt: a foreign row has that one."""
        self._log.warning("delivery.id_taken", delivery_id=str(delivery_id), stored_as=str(row_id))

    def endpoint_changed(self, notice: Notice) -> None:
        """Log a transition of an endpoint's health."""
        self._log.warning(
            "endpoint.changed", kind=notice.kind.value, webhook_id=str(notice.webhook_id)
        )
