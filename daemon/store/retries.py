"""
One delivery once more, because a person asked for it.

The rule: an event has at most one attempt waiting for it in a webhook's chain, so whoever asks
twice gets the same one.
"""

from dataclasses import dataclass
from uuid import UUID

from daemon.ids import new_delivery_id
from daemon.model import DeliveryId, TenantId, WebhookId
from daemon.store.database import Connection


@dataclass(frozen=True, slots=True)
class Retried:
    """The attempt that is due now, or already under way."""

    delivery_id: DeliveryId
    webhook_id: WebhookId


@dataclass(frozen=True, slots=True)
class Paused:
    """Nothing is sent to this webhook until it is resumed, and nothing was changed."""

    webhook_id: WebhookId


LOCK_CHAIN = """
    -- The chain's oldest row stands for all of it: whoever retries another attempt of it waits
    -- here, and then sees what we made. It is settled as a rule, so that nobody else wants it.
    SELECT w.id, w.is_active, asked.event_id
      FROM webhook_deliveries AS asked
      JOIN webhooks AS w ON w.id = asked.webhook_id
      CROSS JOIN LATERAL (
            SELECT id
              FROM webhook_deliveries
             WHERE event_id = asked.event_id AND webhook_id = asked.webhook_id
             ORDER BY attempt_number, id
             LIMIT 1
               FOR NO KEY UPDATE) AS oldest
     WHERE asked.id = $1 AND ($2::uuid IS NULL OR w.tenant_id = $2)
"""

PENDING = """
    -- MATERIALIZED, or the planner may look through all that is pending for the webhook.
    WITH chain AS MATERIALIZED (
        SELECT id, status, next_retry_at
          FROM webhook_deliveries
         WHERE event_id = $1 AND webhook_id = $2
    )
    SELECT id FROM chain WHERE status = 'pending_retry' ORDER BY next_retry_at LIMIT 1
"""

HASTEN = """
    -- One that is leased is being made right now.
    UPDATE webhook_deliveries
       SET next_retry_at = least(next_retry_at, now())
     WHERE id = $1 AND status = 'pending_retry'
       AND (leased_until IS NULL OR leased_until < now())
"""

REPEAT = """
    INSERT INTO webhook_deliveries
           (id, webhook_id, event_id, event_type, payload, event_created_at, attempt_number)
    SELECT $2, d.webhook_id, d.event_id, d.event_type, d.payload, d.event_created_at,
           (SELECT max(attempt_number) FROM webhook_deliveries
             WHERE event_id = d.event_id AND webhook_id = d.webhook_id) + 1
      FROM webhook_deliveries AS d
     WHERE d.id = $1
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
    chain = await db.fetchrow(LOCK_CHAIN, delivery_id, tenant_id)
    if chain is None:
        return None
    webhook_id = WebhookId(chain["id"])
    if not chain["is_active"]:
        return Paused(webhook_id)
    pending: UUID | None = await db.fetchval(PENDING, chain["event_id"], webhook_id)
    if pending is not None:
        await db.execute(HASTEN, pending)
        retried = DeliveryId(pending)
    else:
        retried = new_delivery_id()
        await db.execute(REPEAT, delivery_id, retried)
    await db.execute(RING, webhook_id)
    return Retried(retried, webhook_id)
