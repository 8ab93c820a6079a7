"""The health columns of webhooks: locked, read and changed with a batch of results."""

from collections.abc import Sequence

from daemon.core.model.endpoints import Health, HealthChange
from daemon.core.model.ids import WebhookId
from daemon.store.columns import columns
from daemon.store.session import Connection

LOCK_HEALTH = """
    -- SKIP LOCKED: whoever holds one webhook, a person's open transaction or a deletion, holds up
    -- that webhook's results and nobody else's. Not FOR UPDATE: that would collide with the
    -- foreign-key check of every insert into deliveries.
    SELECT id, is_active, is_failing, consecutive_failures
      FROM webhooks
     WHERE id = ANY ($1::uuid[])
     ORDER BY id
       FOR NO KEY UPDATE SKIP LOCKED
"""


async def lock_health(db: Connection, ids: Sequence[WebhookId]) -> dict[WebhookId, Health]:
    """Each endpoint's health, locked until the transaction ends; locked or deleted are missing."""
    return {
        WebhookId(row["id"]): Health(
            row["is_active"], row["is_failing"], row["consecutive_failures"]
        )
        for row in await db.fetch(LOCK_HEALTH, ids)
    }


EXISTING = "SELECT id FROM webhooks WHERE id = ANY ($1::uuid[])"


async def existing(db: Connection, ids: Sequence[WebhookId]) -> set[WebhookId]:
    """Those that are there, locked or not."""
    return {WebhookId(row["id"]) for row in await db.fetch(EXISTING, ids)}


CHANGE_HEALTH = """
    UPDATE webhooks AS w
       SET is_active = new.is_active, is_failing = new.is_failing,
           consecutive_failures = new.consecutive_failures,
           last_success_at = CASE WHEN new.succeeded THEN now() ELSE w.last_success_at END,
           last_failure_at = CASE WHEN new.failed THEN now() ELSE w.last_failure_at END,
           paused_reason = coalesce(new.paused_reason, w.paused_reason)
      FROM unnest($1::uuid[], $2::bool[], $3::bool[], $4::int[], $5::bool[], $6::bool[],
                  $7::text[])
           AS new (id, is_active, is_failing, consecutive_failures, succeeded, failed,
                   paused_reason)
     WHERE w.id = new.id
"""


async def change_health(db: Connection, changes: Sequence[HealthChange]) -> None:
    """Write what `lock_health` locked and the verdicts changed."""
    rows = [
        (
            *(change.webhook_id, change.health.is_active, change.health.is_failing),
            *(change.health.consecutive_failures, change.succeeded, change.failed),
            change.paused_reason,
        )
        for change in changes
    ]
    await db.execute(CHANGE_HEALTH, *columns(rows))
