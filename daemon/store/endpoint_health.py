"""The health columns of webhooks: locked, read and changed with a batch of results."""

from collections.abc import Collection, Sequence

from daemon.core.model.endpoints import Health, HealthChange
from daemon.core.model.ids import WebhookId
from daemon.store.columns import columns
from daemon.store.session import Connection

HEALTH = """
    SELECT id, is_active, is_failing, consecutive_failures, failing_since, failed_probes
      FROM webhooks
     WHERE id = ANY ($1::uuid[])
     ORDER BY id
"""
# SKIP LOCKED: a transaction that holds one webhook, such as a deletion, delays only that webhook's
# results. Not FOR UPDATE: that would conflict with the foreign-key check of every insert into
# deliveries.
LOCK_HEALTH = HEALTH + "FOR NO KEY UPDATE SKIP LOCKED"
# Keeps the webhook from being deleted; the results of several daemons do not wait for each other.
SHARE_HEALTH = HEALTH + "FOR KEY SHARE SKIP LOCKED"


async def lock_health(
    db: Connection, ids: Collection[WebhookId], *, failed: Collection[WebhookId]
) -> dict[WebhookId, Health]:
    """
    Lock the webhooks until the transaction ends, and return the health of each.

    Those that succeeded only, and have nothing that a success would end, are locked no further than
    against their deletion: their health must not be changed. `failed` are among `ids`. Missing are
    those that another transaction holds, and those that are gone.
    """
    health = await _health(db, SHARE_HEALTH, [each for each in ids if each not in failed])
    with_failures = [webhook_id for webhook_id, each in health.items() if not each.has_no_failures]
    for webhook_id in with_failures:
        del health[webhook_id]
    return health | await _health(db, LOCK_HEALTH, [*with_failures, *failed])


async def _health(
    db: Connection, statement: str, ids: Sequence[WebhookId]
) -> dict[WebhookId, Health]:
    if not ids:
        return {}
    return {
        WebhookId(row["id"]): Health(
            is_active=row["is_active"],
            is_failing=row["is_failing"],
            consecutive_failures=row["consecutive_failures"],
            failing_since=row["failing_since"],
            failed_probes=row["failed_probes"],
        )
        for row in await db.fetch(statement, ids)
    }


FIND_EXISTING = "SELECT id FROM webhooks WHERE id = ANY ($1::uuid[])"


async def existing(db: Connection, ids: Sequence[WebhookId]) -> set[WebhookId]:
    """Return those of the webhooks that exist, locked or not."""
    return {WebhookId(row["id"]) for row in await db.fetch(FIND_EXISTING, ids)}


CHANGE_HEALTH = """
    UPDATE webhooks AS w
       SET is_active = new.is_active, is_failing = new.is_failing,
           consecutive_failures = new.consecutive_failures,
           failing_since = CASE WHEN new.is_failing THEN coalesce(new.failing_since, now()) END,
           failed_probes = new.failed_probes,
           next_probe_at = CASE WHEN NOT new.is_failing OR NOT new.is_active THEN NULL
                                WHEN new.probe_in IS NULL THEN w.next_probe_at
                                WHEN new.probe_in > '0' THEN now() + new.probe_in END,
           requested_attempts = CASE WHEN new.is_failing THEN w.requested_attempts END,
           last_success_at = CASE WHEN new.succeeded THEN now() ELSE w.last_success_at END,
           last_failure_at = CASE WHEN new.failed THEN now() ELSE w.last_failure_at END,
           paused_reason = coalesce(new.paused_reason, w.paused_reason)
      FROM unnest($1::uuid[], $2::bool[], $3::bool[], $4::int[], $5::timestamptz[], $6::int[],
                  $7::interval[], $8::bool[], $9::bool[], $10::text[])
           AS new (id, is_active, is_failing, consecutive_failures, failing_since, failed_probes,
                   probe_in, succeeded, failed, paused_reason)
     WHERE w.id = new.id
"""


async def change_health(db: Connection, changes: Sequence[HealthChange]) -> None:
    """Write the changed health of webhooks that `lock_health` locked; `changes` is not empty."""
    rows = [
        (
            *(change.webhook_id, change.health.is_active, change.health.is_failing),
            *(change.health.consecutive_failures, change.health.failing_since),
            *(change.health.failed_probes, change.probe_in),
            *(change.succeeded, change.failed, change.paused_reason),
        )
        for change in changes
    ]
    await db.execute(CHANGE_HEALTH, *columns(rows))


NOTE_SUCCESS = """
    UPDATE webhooks
       SET last_success_at = now()
     WHERE id = ANY (ARRAY(SELECT id FROM webhooks
                            WHERE id = ANY ($1::uuid[])
                            ORDER BY id
                              FOR NO KEY UPDATE SKIP LOCKED))
"""


async def note_success(db: Connection, ids: Sequence[WebhookId]) -> None:
    """Write the last success of webhooks of which nothing else changes, unless they are locked."""
    await db.execute(NOTE_SUCCESS, ids)
