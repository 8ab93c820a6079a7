"""What a batch of results does to the health of endpoints, as if one by one."""

from collections.abc import Sequence

import orjson

from daemon.core.model.attempts import AttemptResult
from daemon.core.model.endpoints import Health, HealthChange
from daemon.core.model.ids import WebhookId
from daemon.core.model.notices import Notice, NoticeKind
from daemon.core.outcomes.health import HealthLimits, after_failure, after_success

PAUSED_REASONS = {NoticeKind.PAUSED: "failures", NoticeKind.GONE: "gone"}


def consequences(
    batch: Sequence[AttemptResult], health: dict[WebhookId, Health], limits: HealthLimits
) -> tuple[list[HealthChange], list[Notice]]:
    """What these attempts, in the order they ended, do to their endpoints; a pure fold."""
    now = dict(health)
    succeeded: set[WebhookId] = set()
    failed: set[WebhookId] = set()
    paused: dict[WebhookId, str] = {}
    told: list[Notice] = []
    for attempted in batch:
        webhook_id = attempted.claim.webhook_id
        if webhook_id not in now:
            continue
        if attempted.verdict.delivered:
            succeeded.add(webhook_id)
            now[webhook_id] = after_success(now[webhook_id])
            continue
        failed.add(webhook_id)
        now[webhook_id], kind = after_failure(now[webhook_id], limits, gone=attempted.verdict.gone)
        if kind is not None:
            told.append(_notice_of(attempted, kind, now[webhook_id]))
        if kind in PAUSED_REASONS:
            paused[webhook_id] = PAUSED_REASONS[kind]
    changes = [
        HealthChange(
            webhook_id,
            now[webhook_id],
            webhook_id in succeeded,
            webhook_id in failed,
            paused.get(webhook_id),
        )
        for webhook_id in sorted(succeeded | failed)
    ]
    return changes, told


def _notice_of(attempted: AttemptResult, kind: NoticeKind, health: Health) -> Notice:
    data = {
        "consecutiveFailures": health.consecutive_failures,
        "statusCode": attempted.verdict.status,
        "error": attempted.verdict.error,
        "deliveryId": str(attempted.claim.delivery_id),
    }
    return Notice(
        attempted.claim.tenant_id, attempted.claim.webhook_id, kind, orjson.dumps(data).decode()
    )
