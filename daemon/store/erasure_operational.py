"""Erasure of what operational events say about a tenant, at operators' webhooks too."""

from collections.abc import Sequence

from daemon.core.model.erasure import ErasureCounts
from daemon.core.model.ids import DeliveryId, TenantId, WebhookId
from daemon.core.operational_event_types import OPERATIONAL_TYPE_NAMES
from daemon.store.erasure import ErasureStep
from daemon.store.session import Connection

COUNT_EVENTS = "SELECT count(*) FROM webhook_operational_events WHERE tenant_id = $1"


async def count_events(db: Connection, tenant_id: TenantId) -> ErasureCounts:
    """Count the events about the tenant that wait for their deliveries, as notices."""
    return ErasureCounts(notices=await db.fetchval(COUNT_EVENTS, tenant_id))


ERASE_EVENTS = """
    DELETE FROM webhook_operational_events
     WHERE id = ANY (ARRAY(SELECT id
                             FROM webhook_operational_events
                            WHERE tenant_id = $1
                            ORDER BY due_at
                            LIMIT $2
                              FOR UPDATE SKIP LOCKED))
"""


async def erase_events(db: Connection, tenant_id: TenantId, *, limit: int) -> ErasureStep:
    """Erase up to `limit` of these events; call it again until none remains."""
    deleted = int((await db.execute(ERASE_EVENTS, tenant_id, limit)).split()[-1])
    remaining = (await count_events(db, tenant_id)).notices
    return ErasureStep(ErasureCounts(notices=deleted), remaining)


LIST_OPERATORS = """
    SELECT id FROM webhooks WHERE scope::text = 'operator' AND tenant_id <> $1 ORDER BY id
"""


async def list_operators(db: Connection, tenant_id: TenantId) -> list[WebhookId]:
    """The ids of operators' webhooks in other tenants, to which events about the tenant went."""
    return [WebhookId(row["id"]) for row in await db.fetch(LIST_OPERATORS, tenant_id)]


FIND_ABOUT = """
    SELECT id
      FROM webhook_deliveries
     WHERE id = ANY ($1::uuid[])
       AND CASE WHEN event_type::text = ANY ($2::text[])
                THEN payload ->> 'tenant_id'::text = $3 ELSE false END
"""


async def find_about(
    db: Connection, ids: Sequence[DeliveryId], tenant_id: TenantId
) -> set[DeliveryId]:
    """Those of the deliveries that are of operational events about the tenant."""
    types = list(OPERATIONAL_TYPE_NAMES)
    rows = await db.fetch(FIND_ABOUT, ids, types, str(tenant_id))
    return {DeliveryId(row["id"]) for row in rows}
