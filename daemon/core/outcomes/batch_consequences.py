"""The effect of a batch of results on the health of endpoints: as if each came alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson

from daemon.core.model.attempts import AttemptResult
from daemon.core.model.endpoints import Health, HealthChange
from daemon.core.model.ids import WebhookId
from daemon.core.model.notices import Notice, NoticeKind
from daemon.core.outcomes.backoff import probe_wait
from daemon.core.outcomes.endpoint_health import (
    HealthLimits,
    after_failure,
    after_success,
    is_probe,
    notice_of_success,
)

PAUSED_REASONS = {NoticeKind.PAUSED: "failures", NoticeKind.GONE: "gone"}


def consequences(
    batch: Sequence[AttemptResult], health: Mapping[WebhookId, Health], limits: HealthLimits
) -> tuple[list[HealthChange], list[Notice]]:
    """
    Return the changes of health, by webhook id, and the notices of transitions.

    `batch` is in the order in which the attempts ended. Endpoints missing from `health` are
    ignored, and so are bodies that were too large to be sent.
    """
    changes: dict[WebhookId, HealthChange] = {}
    notices: list[Notice] = []
    for result in batch:
        webhook_id = result.claim.webhook_id
        if webhook_id not in health or result.verdict.too_large:
            continue
        before = changes.get(webhook_id)
        if before is None:
            before = HealthChange(
                webhook_id, health[webhook_id], succeeded=False, failed=False, paused_reason=None
            )
        elif result.verdict.delivered and before.succeeded and before.health.has_no_failures:
            continue  # as it is for most results
        changes[webhook_id], notice = _after(before, result, limits)
        if notice is not None:
            notices.append(notice)
    return [changes[webhook_id] for webhook_id in sorted(changes)], notices


def recovered(
    before: Mapping[WebhookId, Health], changes: Sequence[HealthChange]
) -> list[WebhookId]:
    """The webhooks that were failing and are not any more."""
    return [
        change.webhook_id
        for change in changes
        if before[change.webhook_id].is_failing and not change.health.is_failing
    ]


def _after(
    change: HealthChange, result: AttemptResult, limits: HealthLimits
) -> tuple[HealthChange, Notice | None]:
    """The change so far with one more result, and the notice of a transition that it causes."""
    if result.verdict.delivered:
        health, kind = after_success(change.health), notice_of_success(change.health)
        change = replace(change, health=health, succeeded=True, probe_in=None)
    else:
        began = result.claim.failing_since
        probe = is_probe(change.health, limits, began)
        health, kind = after_failure(change.health, limits, gone=result.verdict.gone, began=began)
        change = replace(change, health=health, failed=True)
        if health.newly_failing or probe:
            wait = probe_wait(health.failed_probes, limits.failing_backoff)
            change = replace(change, probe_in=wait)
    if kind is None:
        return change, None
    if kind in PAUSED_REASONS:
        change = replace(change, paused_reason=PAUSED_REASONS[kind])
    return change, _notice_of(result, kind, health)


def _notice_of(result: AttemptResult, kind: NoticeKind, health: Health) -> Notice:
    data = {
        "consecutiveFailures": health.consecutive_failures,
        "statusCode": result.verdict.status,
        "error": result.verdict.error,
        "deliveryId": str(result.claim.delivery_id),
    }
    return Notice(
        result.claim.tenant_id, result.claim.webhook_id, kind, orjson.dumps(data).decode()
    )
