"""
Tenant tokens: a token is valid while its row exists and has not expired.

Daemons look the row up with every request, so that a revoked token stops at once at all of them.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from daemon.core.model.access import Scope
from daemon.core.model.cursor import Cursor
from daemon.core.model.ids import TenantId, TokenId
from daemon.core.model.tenant_tokens import StoredToken
from daemon.store import named_locks
from daemon.store.expired_rows import delete_rows
from daemon.store.session import Connection

MAX_VALID = 1000  # of one tenant


def lock_name(tenant_id: TenantId) -> str:
    """The lock under which the tenant's tokens are counted."""
    return f"webhookd tokens of {tenant_id}"


INSERT_TOKEN = """
    INSERT INTO webhook_tenant_tokens (id, tenant_id, scope, created_by, expires_at)
    SELECT $1, $2, $3, $4, $5
     WHERE (SELECT count(*) FROM webhook_tenant_tokens
             WHERE tenant_id = $2 AND expires_at > now()) < $6
"""


async def insert(
    db: Connection,
    token_id: TokenId,
    *,
    tenant_id: TenantId,
    scope: Scope,
    created_by: str,
    expires_at: datetime,
) -> bool:
    """
    Store a new token; call in a transaction.

    False, and nothing is stored, if the tenant has MAX_VALID valid ones already. Raises
    LockHeldError.
    """
    # Concurrent requests must not pass the limit together.
    await named_locks.take(db, lock_name(tenant_id))
    inserted = await db.execute(
        INSERT_TOKEN, token_id, tenant_id, scope.value, created_by, expires_at, MAX_VALID
    )
    return bool(inserted == "INSERT 0 1")


IS_VALID = "SELECT EXISTS (SELECT FROM webhook_tenant_tokens WHERE id = $1 AND expires_at > now())"


async def is_valid(db: Connection, token_id: TokenId) -> bool:
    """Whether the token has neither expired nor been revoked."""
    return bool(await db.fetchval(IS_VALID, token_id))


LIST_VALID = """
    SELECT *
      FROM webhook_tenant_tokens
     WHERE ($1::uuid IS NULL OR tenant_id = $1)
       AND created_at <= $2 AND (created_at, id) < ($2, $3)
       AND expires_at > now()
     ORDER BY created_at DESC, id DESC
     LIMIT $4
"""


async def list_valid(
    db: Connection, tenant_id: TenantId | None, *, before: Cursor, limit: int
) -> tuple[list[StoredToken], Cursor | None]:
    """
    Return a page of valid tokens, newest first, and the cursor of the next page.

    A `tenant_id` of None stands for every tenant.
    """
    rows = await db.fetch(LIST_VALID, tenant_id, before.at, before.id, limit + 1)
    found = [_entry(row) for row in rows[:limit]]
    if len(rows) <= limit:
        return found, None
    return found, Cursor(found[-1].created_at, found[-1].id)


CURSOR_OF = """
    SELECT created_at, id
      FROM webhook_tenant_tokens
     WHERE id = $1 AND ($2::uuid IS NULL OR tenant_id = $2)
"""


async def cursor_of(db: Connection, tenant_id: TenantId | None, token_id: UUID) -> Cursor | None:
    """The cursor of a token; None if the tenant has none of this id."""
    row = await db.fetchrow(CURSOR_OF, token_id, tenant_id)
    return None if row is None else Cursor(row["created_at"], row["id"])


DELETE_TOKEN = """
    DELETE FROM webhook_tenant_tokens
     WHERE id = $1 AND expires_at > now() AND ($2::uuid IS NULL OR tenant_id = $2)
 RETURNING tenant_id
"""


async def delete(db: Connection, tenant_id: TenantId | None, token_id: TokenId) -> TenantId | None:
    """
    Revoke a token and return its tenant; None if there is no valid one of this id.

    A `tenant_id` of None stands for every tenant.
    """
    found = await db.fetchval(DELETE_TOKEN, token_id, tenant_id)
    return None if found is None else TenantId(found)


DELETE_EXPIRED = """
    -- Unlocked: one daemon at a time prunes.
    DELETE FROM webhook_tenant_tokens
     WHERE id = ANY (ARRAY(SELECT id FROM webhook_tenant_tokens
                            WHERE expires_at < now() - $1::interval
                            ORDER BY expires_at
                            LIMIT $2))
"""


async def delete_expired(db: Connection, *, older_than: timedelta, limit: int) -> int:
    """
    Delete up to `limit` tokens that expired longest ago; returns how many.

    Raises StatementTimeoutError.
    """
    return await delete_rows(db, DELETE_EXPIRED, older_than, limit)


def _entry(row: Any) -> StoredToken:
    return StoredToken(
        id=TokenId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        scope=Scope(row["scope"]),
        created_by=row["created_by"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
    )
