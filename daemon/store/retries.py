"""
One delivery once more, because a person asked for it.

The rule: an event has at most one attempt waiting for it in a webhook's chain, so whoever asks
twice gets the same one.
"""

from dataclasses import dataclass
from uuid import UUID

from daemon.core.model.ids import DeliveryId, TenantId, WebhookId
from daemon.runtime.uuid7 import new_delivery_id
from daemon.store import retry_lock
from daemon.store.session import Connection


@dataclass(frozen=True, slots=True)
class Retried:
    """The attempt that is due now, or already under way."""

    delivery_id: DeliveryId
    webhook_id: WebhookId


@dataclass(frozen=True, slots=True)
class Paused:
    """Nothing is sent to this webhook until it is resumed, and nothing was changed."""

    webhook_id: WebhookId


ASKED = """
    -- The webhook first: to delete it is to lock it before its deliveries.
    SELECT w.id, w.is_active, d.event_id
      FROM webhook_deliveries AS d
      JOIN webhooks AS w ON w.id = d.webhook_id
     WHERE d.id = $1 AND ($2::uuid IS NULL OR w.tenant_id = $2)
       FOR KEY SHARE OF w
"""

PENDING = """
    -- MATERIALIZED, or the planner may look through all that is pending for the webhook.
    WITH chain AS MATERIALIZED (
        SELECT id, status, next_retry_at, leased_until
          FROM webhook_deliveries
         -- A range of keys, as in `candidates`.
         WHERE (event_id, webhook_id) >= ($1, $2) AND (event_id, webhook_id) <= ($1, $2)
    )
    SELECT id, leased_until >= now() AS under_way
      FROM chain
     WHERE status = 'pending_retry'
     ORDER BY next_retry_at
     LIMIT 1
"""

HASTEN = """
    -- No longer a replay's, which would take it back when it is cancelled.
    UPDATE webhook_deliveries
       SET next_retry_at = least(next_retry_at, now()), replay_id = NULL
     WHERE id = $1 AND status = 'pending_retry'
       AND (leased_until IS NULL OR leased_until < now())
"""

REPEAT = """
    INSERT INTO webhook_deliveries
           (id, webhook_id, event_id, event_type, payload, event_created_at, attempt_number)
    SELECT $2, d.webhook_id, d.event_id, d.event_type, d.payload, d.event_created_at,
           (SELECT least(max(attempt_number), 2147483646) FROM webhook_deliveries
             WHERE (event_id, webhook_id) >= (d.event_id, d.webhook_id)
               AND (event_id, webhook_id) <= (d.event_id, d.webhook_id)) + 1
      FROM webhook_deliveries AS d
     WHERE d.id = $1
       -- Who erases it waits, and then sees what we made.
       FOR KEY SHARE OF d
"""

# Every daemon is told: a row that carries its event's time does not fire the trigger.
RING = "SELECT pg_notify('webhookd_due', $1::uuid::text)"


async def retry_now(
    db: Connection, tenant_id: TenantId | None, delivery_id: DeliveryId
) -> Retried | Paused | None:
    """
    Make a delivery once more, now; call in a transaction. None: the tenant has no such delivery.

    Where an attempt of it waits already, that one is brought forward; else a new one follows the
    last, with the same event id and body. A tenant of None is everybody.
    """
    asked = await db.fetchrow(ASKED, delivery_id, tenant_id)
    if asked is None:
        return None
    webhook_id = WebhookId(asked["id"])
    if not asked["is_active"]:
        return Paused(webhook_id)
    await retry_lock.hold(db, webhook_id)
    due = await _brought_forward(db, asked["event_id"], webhook_id)
    if due is None:
        due = new_delivery_id()
        if await db.execute(REPEAT, delivery_id, due) == "INSERT 0 0":
            return None  # it has just been deleted
    await db.execute(RING, webhook_id)
    return Retried(due, webhook_id)


async def _brought_forward(
    db: Connection, event_id: UUID, webhook_id: WebhookId
) -> DeliveryId | None:
    """The attempt that waits, due now or under way; None: there is none."""
    # It may be settled between our looks: then there is another one, or none.
    while (found := await db.fetchrow(PENDING, event_id, webhook_id)) is not None:
        if found["under_way"] or await db.execute(HASTEN, found["id"]) == "UPDATE 1":
            return DeliveryId(found["id"])
    return None
