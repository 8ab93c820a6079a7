"""
Erasure of what POST requests with an idempotency key were answered.

An answer may show a contact's data, and is sealed: it cannot be searched. So the erasure of a
contact erases all answers of its tenant, but leaves the keys: a repeat must not act again.
"""

from daemon.core.model.erasure import ErasureCounts, ErasureTarget
from daemon.store.erasure import ErasureStep
from daemon.store.session import Connection

COUNT = """
    SELECT count(*) FROM webhook_idempotency_keys
     WHERE tenant_id = $1 AND ($2 OR answer IS NOT NULL)
"""


async def count(db: Connection, target: ErasureTarget) -> ErasureCounts:
    """Count the stored answers of the tenant; for the whole tenant, its keys."""
    everything = target.contact is None
    return ErasureCounts(answers=await db.fetchval(COUNT, target.tenant_id, everything))


ERASE_KEYS = """
    DELETE FROM webhook_idempotency_keys
     WHERE ctid = ANY (ARRAY(SELECT ctid FROM webhook_idempotency_keys
                              WHERE tenant_id = $1
                              LIMIT $2
                                FOR UPDATE SKIP LOCKED))
"""
ERASE_ANSWERS = """
    UPDATE webhook_idempotency_keys
       SET answer = NULL, answer_bytes = 0
     WHERE ctid = ANY (ARRAY(SELECT ctid FROM webhook_idempotency_keys
                              WHERE tenant_id = $1 AND answer IS NOT NULL
                              LIMIT $2
                                FOR UPDATE SKIP LOCKED))
"""


async def erase(db: Connection, *, target: ErasureTarget, limit: int) -> ErasureStep:
    """Erase up to `limit`; call again, in another transaction, until none remains."""
    statement = ERASE_KEYS if target.contact is None else ERASE_ANSWERS
    erased = int((await db.execute(statement, target.tenant_id, limit)).split()[-1])
    return ErasureStep(ErasureCounts(answers=erased), (await count(db, target)).answers)
