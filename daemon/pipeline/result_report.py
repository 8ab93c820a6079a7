"""Effects of stored results outside the database: metrics, log lines, next attempts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from daemon.core.model.attempts import AttemptResult, Claim, ClaimKey
from daemon.core.model.endpoints import HealthChange
from daemon.core.model.ids import DeliveryId, WebhookId
from daemon.core.model.notices import Notice
from daemon.pipeline.attempt_log import AttemptLog
from daemon.pipeline.lane_waker import LaneWaker
from daemon.runtime.metrics import Metrics

# First attempts in the queue of an endpoint that was paused wait until they have become rows.
PAUSED_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Stored:
    """
    The effects of one transaction: `next_due` has a time or None for every stored result.

    `renamed` has the ids of the rows of attempts whose own ids foreign rows have; `contested`
    says that there were such, or that rows of open transactions had them. `has_events` says that
    operational events were written. `closed` attempts were pending, and another one succeeded.
    `successes` are the webhooks of which the last success was written.
    """

    free: Sequence[AttemptResult]
    held: Sequence[AttemptResult]
    next_due: Mapping[ClaimKey, datetime | None]
    changes: Sequence[HealthChange] = ()
    recovered: Sequence[WebhookId] = ()
    notices: Sequence[Notice] = ()
    renamed: Mapping[DeliveryId, DeliveryId] = field(default_factory=dict)
    has_events: bool = False
    contested: bool = False
    closed: int = 0
    successes: Collection[WebhookId] = ()


class ResultReport:
    """Counts and logs what was stored, and announces each next attempt."""

    def __init__(self, waker: LaneWaker, metrics: Metrics) -> None:
        self._waker = waker
        self._metrics = metrics
        self._log = AttemptLog()

    def close(self) -> None:
        """Log what was not logged until now."""
        self._log.close()

    def stored(self, stored: Stored) -> None:
        """Report the results of one transaction."""
        self._metrics.attempts.observe(stored.free)
        self._metrics.attempts.duplicates_avoided["delivered"].inc(stored.closed)
        attempted, lost = stored.free, list[Claim]()
        if len(stored.next_due) < len(stored.free):
            attempted = [each for each in stored.free if each.claim.key in stored.next_due]
            lost = [each.claim for each in stored.free if each.claim.key not in stored.next_due]
        created = len([each for each in attempted if each.claim.from_inbox])
        self._metrics.pipeline.deliveries_created.inc(created)
        for result in attempted:
            self._attempted(result, stored)
        if lost:
            self._metrics.results.leases_lost.inc(len(lost))
            self._log.leases_lost(lost)
        for delivery_id, row_id in stored.renamed.items():
            self._log.id_taken(delivery_id, row_id)
        for change in stored.changes:
            self._space(change)
        for webhook_id in stored.recovered:
            self._waker.announce_if_known(webhook_id)
        for notice in stored.notices:
            self._metrics.notifications.notices[notice.kind].inc()
            self._log.endpoint_changed(notice)

    def _attempted(self, result: AttemptResult, stored: Stored) -> None:
        claim, verdict = result.claim, result.verdict
        if verdict.retry_in is not None:
            due = stored.next_due[claim.key]
            self._waker.announce(
                *(claim.webhook_id, verdict.retry_in.total_seconds(), due),
                tenant_id=claim.tenant_id,
            )
        if claim.options.takes_place:
            self._waker.freed(claim.webhook_id)
        self._log.attempted(result)

    def _space(self, change: HealthChange) -> None:
        if not change.health.is_active:
            self._waker.space(change.webhook_id, PAUSED_SECONDS)
        elif change.health.is_failing and change.probe_in:
            self._waker.space(change.webhook_id, change.probe_in.total_seconds())
