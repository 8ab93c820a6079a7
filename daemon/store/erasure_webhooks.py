"""Erasure of a tenant's webhooks, with their replays and notices."""

from daemon.core.model.erasure import ErasureCounts
from daemon.core.model.ids import TenantId, WebhookId
from daemon.store import operational_events
from daemon.store.erasure import ErasureStep, counts_of_deliveries
from daemon.store.session import Connection

LIST_IDS = "SELECT id FROM webhooks WHERE tenant_id = $1 ORDER BY id"


async def list_ids(db: Connection, tenant_id: TenantId) -> list[WebhookId]:
    """The ids of the tenant's webhooks."""
    return [WebhookId(row["id"]) for row in await db.fetch(LIST_IDS, tenant_id)]


PAUSE = """
    UPDATE webhooks SET is_active = false, paused_reason = NULL, updated_at = now()
     WHERE id IN (SELECT id FROM webhooks WHERE tenant_id = $1 AND is_active
                     FOR NO KEY UPDATE SKIP LOCKED)
"""
COUNT_ACTIVE = "SELECT count(*) FROM webhooks WHERE tenant_id = $1 AND is_active"


async def pause(db: Connection, tenant_id: TenantId) -> ErasureStep:
    """Pause the tenant's webhooks; call it again, in another transaction, until none remains."""
    await operational_events.leave_out_pauses(db)
    await db.execute(PAUSE, tenant_id)
    return ErasureStep(ErasureCounts(), await db.fetchval(COUNT_ACTIVE, tenant_id))


COUNT_RECORDS = """
    SELECT (SELECT count(*) FROM webhook_replays WHERE webhook_id = $1),
           (SELECT count(*) FROM webhook_notices WHERE webhook_id = $1)
"""


async def count_records(db: Connection, webhook_id: WebhookId) -> ErasureCounts:
    """The webhook itself, its replays and its notices."""
    replays, notices = await db.fetchrow(COUNT_RECORDS, webhook_id)
    return ErasureCounts(replays=replays, notices=notices, webhooks=1)


LOCK = """
    SELECT FROM webhooks WHERE id = $1 AND tenant_id = $2 FOR UPDATE SKIP LOCKED
"""
ERASE_DELIVERIES = "DELETE FROM webhook_deliveries WHERE webhook_id = $1 RETURNING status"
ERASE_REPLAY_RESULTS = """
    DELETE FROM webhook_replay_results
     WHERE replay_id = ANY (ARRAY(SELECT id FROM webhook_replays WHERE webhook_id = $1))
"""
ERASE = "DELETE FROM webhooks WHERE id = $1"
COUNT_REMAINING = "SELECT count(*) FROM webhooks WHERE id = $1 AND tenant_id = $2"


async def erase(db: Connection, tenant_id: TenantId, webhook_id: WebhookId) -> ErasureStep:
    """Erase the webhook with its replays, its notices, and deliveries that were added meanwhile."""
    if await db.fetchrow(LOCK, webhook_id, tenant_id) is None:
        return ErasureStep(
            ErasureCounts(), await db.fetchval(COUNT_REMAINING, webhook_id, tenant_id)
        )
    records = await count_records(db, webhook_id)
    deliveries = counts_of_deliveries(await db.fetch(ERASE_DELIVERIES, webhook_id))
    await db.execute(ERASE_REPLAY_RESULTS, webhook_id)
    await db.execute(ERASE, webhook_id)  # replays and notices go by cascade
    return ErasureStep(records + deliveries, 0)
