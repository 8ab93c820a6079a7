"""Erasure of the addresses that were asked to confirm that they get a tenant's notices."""

from daemon.core.model.erasure import ErasureCounts, ErasureTarget
from daemon.store.erasure import ErasureStep
from daemon.store.session import Connection

COUNT = """
    SELECT count(*) FROM webhook_email_confirmations
     WHERE tenant_id = $1 AND ($2::text IS NULL OR address::text = lower($2))
"""


async def count(db: Connection, target: ErasureTarget) -> ErasureCounts:
    """The tenant's addresses; only the contact's if the target names one."""
    return ErasureCounts(confirmations=await db.fetchval(COUNT, target.tenant_id, target.contact))


ERASE = """
    DELETE FROM webhook_email_confirmations
     WHERE (tenant_id, address::text)
        IN (SELECT tenant_id, address::text
              FROM webhook_email_confirmations
             WHERE tenant_id = $1 AND ($2::text IS NULL OR address::text = lower($2))
               FOR UPDATE SKIP LOCKED)
 RETURNING true
"""


async def erase(db: Connection, target: ErasureTarget) -> ErasureStep:
    """Erase them; call it again, in another transaction, until none remains."""
    rows = await db.fetch(ERASE, target.tenant_id, target.contact)
    remaining = await count(db, target)
    return ErasureStep(ErasureCounts(confirmations=len(rows)), remaining.confirmations)
