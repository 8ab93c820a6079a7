"""
Erasure of a tenant's tokens, portal links, audit records and hold.

The records of its own erasures stay.
"""

from daemon.core.model.erasure import ErasureCounts
from daemon.core.model.ids import TenantId
from daemon.store.erasure import ErasureStep
from daemon.store.session import Connection

ERASE_TENANT = "eraseTenant"  # the action of the records that stay: they hold the tenant's id only

COUNT = """
    SELECT (SELECT count(*) FROM webhook_tenant_tokens WHERE tenant_id = $1),
           (SELECT count(*) FROM webhook_portal_links WHERE tenant_id = $1),
           (SELECT count(*) FROM webhook_audit WHERE tenant_id = $1 AND action::text <> $2)
"""


async def count(db: Connection, tenant_id: TenantId) -> ErasureCounts:
    """Count the tenant's tokens, portal links and audit records."""
    tokens, links, records = await db.fetchrow(COUNT, tenant_id, ERASE_TENANT)
    return ErasureCounts(tokens=tokens, links=links, audit=records)


ERASE_TOKENS = "DELETE FROM webhook_tenant_tokens WHERE tenant_id = $1"


async def erase_tokens(db: Connection, tenant_id: TenantId) -> ErasureStep:
    """Erase the tenant's tokens, which revokes them."""
    deleted = await db.execute(ERASE_TOKENS, tenant_id)
    return ErasureStep(ErasureCounts(tokens=int(deleted.split()[-1])), 0)


ERASE_LINKS = "DELETE FROM webhook_portal_links WHERE tenant_id = $1"


async def erase_links(db: Connection, tenant_id: TenantId) -> ErasureStep:
    """Erase the tenant's portal links, which ends their sessions."""
    deleted = await db.execute(ERASE_LINKS, tenant_id)
    return ErasureStep(ErasureCounts(links=int(deleted.split()[-1])), 0)


ERASE_RECORDS = """
    DELETE FROM webhook_audit
     WHERE id = ANY (ARRAY(SELECT id FROM webhook_audit
                            WHERE tenant_id = $1 AND action::text <> $2
                            LIMIT $3))
"""


async def erase_records(db: Connection, tenant_id: TenantId, *, limit: int) -> ErasureStep:
    """Erase up to `limit` audit records; call again, in another transaction, until none remains."""
    deleted = int((await db.execute(ERASE_RECORDS, tenant_id, ERASE_TENANT, limit)).split()[-1])
    remaining = (await count(db, tenant_id)).audit
    return ErasureStep(ErasureCounts(audit=deleted), remaining)


ERASE_HOLD = "DELETE FROM webhook_holds WHERE tenant_id = $1"


async def erase_hold(db: Connection, tenant_id: TenantId) -> ErasureStep:
    """Erase the tenant's hold, which names who wanted it; call when nothing is left to be sent."""
    await db.execute(ERASE_HOLD, tenant_id)
    return ErasureStep(ErasureCounts(), 0)
