"""
Writes the health of endpoints with a batch of results: every change, and now and then a success.

The last success of a healthy endpoint is written once a second: each would be a row version for
every delivery.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from math import inf

from daemon.core.model.attempts import AttemptResult
from daemon.core.model.endpoints import Health, HealthChange
from daemon.core.model.ids import WebhookId
from daemon.store import endpoint_health
from daemon.store.session import Connection

LAST_SUCCESS_SECONDS = 1.0
MOST_REMEMBERED = 20_000


class HealthWriter:
    """Remembers when the last success of each webhook was written."""

    def __init__(self) -> None:
        self._success_written_at: dict[WebhookId, float] = {}

    async def write(
        self, db: Connection, changes: Sequence[HealthChange], before: Mapping[WebhookId, Health]
    ) -> None:
        """Write what changed since `before`, which `endpoint_health.lock_health` returned."""
        changed, unchanged = list[HealthChange](), list[WebhookId]()
        for each in changes:
            if each.failed or each.health != before[each.webhook_id]:
                changed.append(each)
            elif self.is_success_due(each.webhook_id):
                unchanged.append(each.webhook_id)
        if changed:
            await endpoint_health.change_health(db, changed)
        if unchanged:
            await endpoint_health.note_success(db, unchanged)

    def is_success_due(self, webhook_id: WebhookId) -> bool:
        """
        Whether to write `last_success_at` now, as is then done.

        It may be up to LAST_SUCCESS_SECONDS late.
        """
        now = time.monotonic()
        if now - self._success_written_at.get(webhook_id, -inf) < LAST_SUCCESS_SECONDS:
            return False
        if len(self._success_written_at) >= MOST_REMEMBERED:
            self._success_written_at.clear()
        self._success_written_at[webhook_id] = now
        return True


async def webhooks_locked_by_others(
    db: Connection, batch: Sequence[AttemptResult], health: Mapping[WebhookId, Health]
) -> Collection[WebhookId]:
    """
    The webhooks of these results that another transaction holds; `health` are those that we lock.

    A webhook that is gone holds nothing up: its deliveries went with it.
    """
    missing = {r.claim.webhook_id for r in batch} - health.keys()
    return await endpoint_health.existing(db, list(missing)) if missing else ()
