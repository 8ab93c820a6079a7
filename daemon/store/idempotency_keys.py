"""
Idempotency keys: which request has a key, and what it was answered.

A key is claimed in a transaction of its own. The claim is the fence: the change is noted on it in
the change's own transaction, which fails if another request has the key by then. No statement
waits for a request that is running.
"""

from datetime import timedelta
from uuid import UUID

from daemon.core.model.idempotency import EarlierRequest, IdempotencyClaim, KeysInUse, StoredAnswer
from daemon.core.model.ids import TenantId
from daemon.store.expired_rows import delete_rows
from daemon.store.session import Connection

KEPT = timedelta(hours=24)
# Of one caller for one tenant.
MOST_KEYS = 10_000
MOST_ANSWER_BYTES = 64 * 1024 * 1024

IN_USE = """
    -- Reads no more rows than a caller may have.
    SELECT count(*) AS keys, coalesce(sum(k.answer_bytes), 0)::bigint AS answer_bytes
      FROM (SELECT answer_bytes
              FROM webhook_idempotency_keys
             WHERE tenant_id = $1 AND caller = $2 AND created_at > now() - $3::interval
             LIMIT $4) AS k
"""


async def in_use(db: Connection, claimed: IdempotencyClaim) -> KeysInUse:
    """Count the caller's keys for the tenant, up to MOST_KEYS."""
    row = await db.fetchrow(IN_USE, claimed.tenant_id, claimed.caller, KEPT, MOST_KEYS)
    return KeysInUse(row["keys"], row["answer_bytes"])


CLAIM = """
    INSERT INTO webhook_idempotency_keys
           (caller, key_hash, tenant_id, claim_id, claimed_until, fingerprint)
    VALUES ($1, $2, $3, $4, now() + $5::interval, $6)
        ON CONFLICT DO NOTHING
"""


async def claim(
    db: Connection, claimed: IdempotencyClaim, *, fingerprint: str, lease: timedelta
) -> bool:
    """Claim a key: later requests with it find this one. False if another has it."""
    inserted = await db.execute(
        CLAIM,
        *(claimed.caller, claimed.key_hash, claimed.tenant_id, claimed.id, lease, fingerprint),
    )
    return bool(inserted == "INSERT 0 1")


FIND = """
    SELECT claim_id, fingerprint, status, answer, performed, object_id,
           claimed_until > now() AS running, created_at <= now() - $3::interval AS expired
      FROM webhook_idempotency_keys
     WHERE caller = $1 AND key_hash = $2
"""


async def find(db: Connection, wanted: IdempotencyClaim) -> EarlierRequest | None:
    """The request that has the key; None if there is none."""
    row = await db.fetchrow(FIND, wanted.caller, wanted.key_hash, KEPT)
    if row is None:
        return None
    return EarlierRequest(
        claim_id=row["claim_id"],
        fingerprint=row["fingerprint"],
        answer=None if row["status"] is None else StoredAnswer(row["status"], row["answer"]),
        performed=row["performed"],
        object_id=row["object_id"],
        running=row["running"],
        expired=row["expired"],
    )


TAKE_OVER = """
    UPDATE webhook_idempotency_keys
       SET tenant_id = $4, claim_id = $5, claimed_until = now() + $6::interval, fingerprint = $7,
           performed = false, object_id = NULL, status = NULL, answer = NULL, answer_bytes = 0,
           created_at = now()
     WHERE ctid = ANY (ARRAY(SELECT ctid FROM webhook_idempotency_keys
                              WHERE caller = $1 AND key_hash = $2 AND claim_id = $3
                                AND (NOT performed AND status IS NULL
                                     OR created_at <= now() - $8::interval)
                                FOR UPDATE SKIP LOCKED))
"""


async def take_over(
    db: Connection,
    wanted: IdempotencyClaim,
    *,
    since: EarlierRequest,
    fingerprint: str,
    lease: timedelta,
) -> bool:
    """Claim a key whose request expired, or ended unnoticed; False if its row has changed since."""
    updated = await db.execute(
        TAKE_OVER,
        *(wanted.caller, wanted.key_hash, since.claim_id, wanted.tenant_id, wanted.id, lease),
        *(fingerprint, KEPT),
    )
    return bool(updated == "UPDATE 1")


NOTE_PERFORMED = """
    UPDATE webhook_idempotency_keys
       SET performed = true, object_id = $4, tenant_id = coalesce($5, tenant_id)
     WHERE caller = $1 AND key_hash = $2 AND claim_id = $3
"""


async def note_performed(
    db: Connection,
    claimed: IdempotencyClaim,
    *,
    object_id: UUID | None,
    tenant_id: TenantId | None,
) -> bool:
    """
    Note in the transaction of the change that it is made.

    False if another request has the key by now: the change must then be rolled back.
    """
    updated = await db.execute(
        NOTE_PERFORMED,
        *(claimed.caller, claimed.key_hash, claimed.id, object_id, tenant_id),
    )
    return bool(updated == "UPDATE 1")


STORE_ANSWER = """
    UPDATE webhook_idempotency_keys
       SET status = $4, answer = $5, answer_bytes = coalesce(octet_length($5::text), 0)
     WHERE caller = $1 AND key_hash = $2 AND claim_id = $3
"""


async def store_answer(db: Connection, claimed: IdempotencyClaim, answer: StoredAnswer) -> None:
    """Store the answer that repeats get, unless another request has the key by now."""
    await db.execute(
        STORE_ANSWER, claimed.caller, claimed.key_hash, claimed.id, answer.status, answer.text
    )


REPLACE_ANSWER = """
    UPDATE webhook_idempotency_keys
       SET status = $4, answer = $5, answer_bytes = coalesce(octet_length($5::text), 0)
     WHERE caller = $1 AND key_hash = $2 AND answer = $3
"""


async def replace_answer(
    db: Connection, claimed: IdempotencyClaim, *, old: StoredAnswer, new: StoredAnswer
) -> bool:
    """Replace a stored answer; False if it is another one by now."""
    updated = await db.execute(
        REPLACE_ANSWER, claimed.caller, claimed.key_hash, old.text, new.status, new.text
    )
    return bool(updated == "UPDATE 1")


RELEASE = """
    DELETE FROM webhook_idempotency_keys
     WHERE caller = $1 AND key_hash = $2 AND claim_id = $3 AND NOT performed
"""


async def release(db: Connection, claimed: IdempotencyClaim) -> None:
    """Give the key back: a repeat acts, unless the change was made all the same."""
    await db.execute(RELEASE, claimed.caller, claimed.key_hash, claimed.id)


DELETE_EXPIRED = """
    DELETE FROM webhook_idempotency_keys
     WHERE ctid = ANY (ARRAY(SELECT ctid FROM webhook_idempotency_keys
                              WHERE created_at < now() - $1::interval
                              ORDER BY created_at
                              LIMIT $2
                                FOR UPDATE SKIP LOCKED))
"""


async def delete_expired(db: Connection, *, older_than: timedelta, limit: int) -> int:
    """
    Delete up to `limit` of the oldest keys; returns how many.

    Raises StatementTimeoutError.
    """
    return await delete_rows(db, DELETE_EXPIRED, older_than, limit)
