"""
Portal links: a link is entered once, and is then a session while its row exists.

Daemons look the row up with every request, so that a revoked link stops at once at all of them.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from daemon.core.model.access import Scope
from daemon.core.model.cursor import Cursor
from daemon.core.model.ids import TenantId, TokenId, WebhookId
from daemon.core.model.portal_links import PortalLink, Theme
from daemon.store import named_locks
from daemon.store.expired_rows import delete_rows
from daemon.store.session import Connection

MAX_VALID = 1000  # of one tenant


def lock_name(tenant_id: TenantId) -> str:
    """The lock under which the tenant's links are counted."""
    return f"webhookd portal links of {tenant_id}"


INSERT_LINK = """
    INSERT INTO webhook_portal_links
           (id, tenant_id, webhook_id, scope, theme, code_hash, created_by, expires_at)
    SELECT $1, $2, $3, $4, $5, $6, $7, now() + $8::interval
     WHERE (SELECT count(*) FROM webhook_portal_links
             WHERE tenant_id = $2 AND expires_at > now()) < $9
 RETURNING *
"""


async def insert(
    db: Connection,
    link_id: TokenId,
    *,
    tenant_id: TenantId,
    webhook_id: WebhookId | None,
    scope: Scope,
    theme: Theme | None,
    code_hash: bytes,
    created_by: str,
    lifetime: timedelta,
) -> PortalLink | None:
    """
    Store a new link; call in a transaction.

    Returns None, and stores nothing, if the tenant has MAX_VALID valid ones already. Raises
    LockHeldError.
    """
    # Concurrent requests must not pass the limit together.
    await named_locks.take(db, lock_name(tenant_id))
    row = await db.fetchrow(
        INSERT_LINK,
        *(link_id, tenant_id, webhook_id, scope.value, None if theme is None else theme.value),
        *(code_hash, created_by, lifetime, MAX_VALID),
    )
    return None if row is None else _link(row)


ENTER = """
    UPDATE webhook_portal_links
       SET entered_at = now()
     WHERE code_hash = $1 AND entered_at IS NULL AND expires_at > now()
 RETURNING *
"""


async def enter(db: Connection, code_hash: bytes) -> PortalLink | None:
    """
    Use a link's code; None if it is unknown, expired, revoked, or was used before.
    """
    row = await db.fetchrow(ENTER, code_hash)
    return None if row is None else _link(row)


GET_UNUSED = """
    SELECT * FROM webhook_portal_links
     WHERE code_hash = $1 AND entered_at IS NULL AND expires_at > now()
"""


async def get_unused(db: Connection, code_hash: bytes) -> PortalLink | None:
    """The link with a code that `enter` would use."""
    row = await db.fetchrow(GET_UNUSED, code_hash)
    return None if row is None else _link(row)


GET_ENTERED = """
    SELECT * FROM webhook_portal_links
     WHERE id = $1 AND entered_at IS NOT NULL AND expires_at > now()
"""


async def get_entered(db: Connection, link_id: TokenId) -> PortalLink | None:
    """A link that was entered, and has neither expired nor been revoked."""
    row = await db.fetchrow(GET_ENTERED, link_id)
    return None if row is None else _link(row)


HAS_CODE = "SELECT EXISTS (SELECT FROM webhook_portal_links WHERE id = $1 AND code_hash = $2)"


async def has_code(db: Connection, link_id: TokenId, code_hash: bytes) -> bool:
    """Whether this is the code of a link."""
    return bool(await db.fetchval(HAS_CODE, link_id, code_hash))


LIST_VALID = """
    SELECT *
      FROM webhook_portal_links
     WHERE ($1::uuid IS NULL OR tenant_id = $1)
       AND created_at <= $2 AND (created_at, id) < ($2, $3)
       AND expires_at > now()
     ORDER BY created_at DESC, id DESC
     LIMIT $4
"""


async def list_valid(
    db: Connection, tenant_id: TenantId | None, *, before: Cursor, limit: int
) -> tuple[list[PortalLink], Cursor | None]:
    """
    Return a page of valid links, newest first, and the cursor of the next page.

    A `tenant_id` of None stands for every tenant.
    """
    rows = await db.fetch(LIST_VALID, tenant_id, before.at, before.id, limit + 1)
    found = [_link(row) for row in rows[:limit]]
    if len(rows) <= limit:
        return found, None
    return found, Cursor(found[-1].created_at, found[-1].id)


CURSOR_OF = """
    SELECT created_at, id
      FROM webhook_portal_links
     WHERE id = $1 AND ($2::uuid IS NULL OR tenant_id = $2)
"""


async def cursor_of(db: Connection, tenant_id: TenantId | None, link_id: UUID) -> Cursor | None:
    """The cursor of a link; None if the tenant has none of this id."""
    row = await db.fetchrow(CURSOR_OF, link_id, tenant_id)
    return None if row is None else Cursor(row["created_at"], row["id"])


DELETE_LINK = """
    DELETE FROM webhook_portal_links
     WHERE id = $1 AND expires_at > now() AND ($2::uuid IS NULL OR tenant_id = $2)
 RETURNING tenant_id
"""


async def delete(db: Connection, tenant_id: TenantId | None, link_id: TokenId) -> TenantId | None:
    """
    Revoke a link and return its tenant; None if there is no valid one of this id.

    A `tenant_id` of None stands for every tenant.
    """
    found = await db.fetchval(DELETE_LINK, link_id, tenant_id)
    return None if found is None else TenantId(found)


DELETE_EXPIRED = """
    -- Unlocked: one daemon at a time prunes.
    DELETE FROM webhook_portal_links
     WHERE id = ANY (ARRAY(SELECT id FROM webhook_portal_links
                            WHERE expires_at < now() - $1::interval
                            ORDER BY expires_at
                            LIMIT $2))
"""


async def delete_expired(db: Connection, *, older_than: timedelta, limit: int) -> int:
    """
    Delete up to `limit` links that expired longest ago; returns how many.

    Raises StatementTimeoutError.
    """
    return await delete_rows(db, DELETE_EXPIRED, older_than, limit)


def _link(row: Any) -> PortalLink:
    return PortalLink(
        id=TokenId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        webhook_id=None if row["webhook_id"] is None else WebhookId(row["webhook_id"]),
        scope=Scope(row["scope"]),
        theme=None if row["theme"] is None else Theme(row["theme"]),
        created_by=row["created_by"],
        created_at=row["created_at"],
        entered_at=row["entered_at"],
        expires_at=_whole_seconds(row["expires_at"]),
    )


def _whole_seconds(at: datetime) -> datetime:
    """As the session's cookie has it."""
    return at.replace(microsecond=0)
