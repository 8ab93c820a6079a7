"""The health columns of webhooks: locked, read and changed with a batch of results."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from daemon.core.model.endpoints import Health, HealthChange
from daemon.core.model.ids import TenantId, WebhookId
from daemon.store.columns import columns
from daemon.store.session import Connection

# The next success is the first after a pause. A time of the future is the application's own.
RESUMED = "coalesce(paused_at > last_success_at AND paused_at <= now(), false)"
HEALTH = f"""
    SELECT id, tenant_id, is_active, is_failing, consecutive_failures, failing_since, failed_probes,
           {RESUMED} AS resumed
      FROM webhooks
     WHERE id = ANY ($1::uuid[])
     ORDER BY id
"""  # noqa: S608  made of constants only
# SKIP LOCKED: a transaction that holds one webhook, such as a deletion, delays only that webhook's
# results. Not FOR UPDATE: that would conflict with the foreign-key check of every insert into
# deliveries.
LOCK_HEALTH = HEALTH + "FOR NO KEY UPDATE SKIP LOCKED"
# Keeps the webhook from being deleted; the results of several daemons do not wait for each other.
SHARE_HEALTH = HEALTH + "FOR KEY SHARE SKIP LOCKED"


async def lock_health(
    db: Connection, ids: Collection[WebhookId], *, failed: Collection[WebhookId]
) -> tuple[dict[WebhookId, Health], dict[WebhookId, TenantId]]:
    """
    Lock the webhooks until the transaction ends, and return the health and the tenant of each.

    Those that succeeded only, and have nothing that a success would end, are locked no further than
    against their deletion: their health must not be changed. `failed` are among `ids`. Missing are
    those that another transaction holds, and those that are gone.
    """
    rows = await _rows(db, SHARE_HEALTH, [each for each in ids if each not in failed])
    found = {WebhookId(row["id"]): _health(row) for row in rows}
    with_failures = [webhook_id for webhook_id, each in found.items() if not each.has_no_failures]
    for webhook_id in with_failures:
        del found[webhook_id]
    locked = await _rows(db, LOCK_HEALTH, [*with_failures, *failed])
    found |= {WebhookId(row["id"]): _health(row) for row in locked}
    owners = {WebhookId(row["id"]): TenantId(row["tenant_id"]) for row in (*rows, *locked)}
    return found, {webhook_id: owners[webhook_id] for webhook_id in found}


async def _rows(db: Connection, statement: str, ids: Sequence[WebhookId]) -> Sequence[Any]:
    return await db.fetch(statement, ids) if ids else ()


def _health(row: Any) -> Health:
    return Health(
        is_active=row["is_active"],
        is_failing=row["is_failing"],
        consecutive_failures=row["consecutive_failures"],
        failing_since=row["failing_since"],
        failed_probes=max(0, row["failed_probes"]),  # the application may write any number
        resumed=row["resumed"],
    )


FIND_EXISTING = "SELECT id FROM webhooks WHERE id = ANY ($1::uuid[])"


async def existing(db: Connection, ids: Collection[WebhookId]) -> set[WebhookId]:
    """Return those of the webhooks that exist, locked or not."""
    if not ids:
        return set()
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
           last_success_at = CASE WHEN new.succeeded THEN now()
                                  WHEN new.success_ago IS NULL THEN w.last_success_at
                                  -- No later than the failure that is written with it.
                                  ELSE greatest(w.last_success_at,
                                           least(clock_timestamp() - new.success_ago, now())) END,
           last_failure_at = CASE WHEN new.failed THEN now() ELSE w.last_failure_at END,
           paused_reason = coalesce(new.paused_reason, w.paused_reason)
      FROM unnest($1::uuid[], $2::bool[], $3::bool[], $4::int[], $5::timestamptz[], $6::int[],
                  $7::interval[], $8::bool[], $9::bool[], $10::text[], $11::interval[])
           AS new (id, is_active, is_failing, consecutive_failures, failing_since, failed_probes,
                   probe_in, succeeded, failed, paused_reason, success_ago)
     WHERE w.id = new.id
"""


async def change_health(
    db: Connection, changes: Sequence[HealthChange], *, earlier: Mapping[WebhookId, timedelta]
) -> None:
    """
    Write the changed health of webhooks that `lock_health` locked; `changes` is not empty.

    `earlier` says how long ago the last success was of those of which it is not written yet.
    """
    rows = [
        (
            *(change.webhook_id, change.health.is_active, change.health.is_failing),
            *(change.health.consecutive_failures, change.health.failing_since),
            *(change.health.failed_probes, change.probe_in),
            *(change.succeeded, change.failed, change.paused_reason),
            earlier.get(change.webhook_id),
        )
        for change in changes
    ]
    await db.execute(CHANGE_HEALTH, *columns(rows))


NOTE_SUCCESS = """
    UPDATE webhooks AS w
       SET last_success_at = greatest(w.last_success_at, clock_timestamp() - success.ago)
      FROM unnest($1::uuid[], $2::interval[]) AS success (id, ago)
     WHERE w.id = success.id
       AND w.id = ANY (ARRAY(SELECT id FROM webhooks
                              WHERE id = ANY ($1::uuid[])
                              ORDER BY id
                                FOR NO KEY UPDATE SKIP LOCKED))
 RETURNING w.id
"""


async def note_success(db: Connection, ago: Mapping[WebhookId, timedelta]) -> set[WebhookId]:
    """
    Write how long `ago` the last success was of webhooks of which nothing else changes.

    Returns those of which it is written: those that are locked are left out.
    """
    rows = await db.fetch(NOTE_SUCCESS, list(ago), list(ago.values()))
    return {WebhookId(row["id"]) for row in rows}
