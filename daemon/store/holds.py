"""
Holds of everything or of one tenant: rows that every claim looks at.

The rule: what is held is neither claimed nor sent from memory. Its deliveries become pending rows,
which wait; so nothing needs to be remembered anywhere else, and a hold survives every restart.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from daemon.core.model.holds import Hold
from daemon.core.model.ids import TenantId
from daemon.store import tenants
from daemon.store.installation import belongs_to
from daemon.store.session import Connection

EVERYTHING = UUID(int=0)


def not_held(webhook: str) -> str:
    """SQL: nothing holds this row of `webhooks`."""
    return f"""NOT EXISTS (
                SELECT FROM webhook_holds AS hold
                 WHERE hold.tenant_id = ANY (
                       ARRAY[{webhook}.tenant_id, '{EVERYTHING}'::uuid]))"""


def may_be_sent(webhook: str, installation: str) -> str:
    """SQL: nothing holds this row of `webhooks`, and the database is that of the parameter."""
    return f"{not_held(webhook)} AND {belongs_to(installation)}"


async def may_be_held(db: Connection, tenant_id: TenantId | None) -> bool:
    """Whether there may be such a tenant; None is everything. Call outside a transaction."""
    if tenant_id is None:
        return True
    return tenant_id != EVERYTHING and await tenants.exists(db, tenant_id) is not False


INSERT_HOLD = """
    INSERT INTO webhook_holds (tenant_id, held_by, reason)
    VALUES ($1, $2, $3)
        ON CONFLICT (tenant_id) DO NOTHING
"""


async def hold(
    db: Connection, tenant_id: TenantId | None, *, held_by: str, reason: str | None
) -> bool:
    """Hold a tenant, or everything; False if it is held already, and stays as it is."""
    inserted = await db.execute(INSERT_HOLD, tenant_id or EVERYTHING, held_by, reason)
    return bool(inserted == "INSERT 0 1")


DELETE_HOLD = "DELETE FROM webhook_holds WHERE tenant_id = $1"


async def release(db: Connection, tenant_id: TenantId | None) -> bool:
    """
    End the hold of a tenant, or that of everything; False if there is none.

    Tenants that have a hold of their own stay held.
    """
    return bool(await db.execute(DELETE_HOLD, tenant_id or EVERYTHING) == "DELETE 1")


# Those that hold one tenant, or all; that of everything comes first.
LIST_HOLDS = """
    SELECT tenant_id, since, held_by, reason
      FROM webhook_holds
     WHERE $1::uuid IS NULL OR tenant_id = ANY (ARRAY[$1::uuid, $2::uuid])
     ORDER BY tenant_id <> $2, since DESC, tenant_id
     LIMIT $3
"""


async def list_all(db: Connection, *, limit: int) -> list[Hold]:
    """Return all holds: that of everything, then the newest."""
    return _holds(await db.fetch(LIST_HOLDS, None, EVERYTHING, limit))


async def list_of(db: Connection, tenant_id: TenantId) -> list[Hold]:
    """Return what holds this tenant: at most a hold of everything, and one of its own."""
    return _holds(await db.fetch(LIST_HOLDS, tenant_id, EVERYTHING, 2))


LAST_RELEASE = """
    SELECT actor, reason
      FROM webhook_audit
     WHERE action::text = 'releaseDeliveries' AND tenant_id IS NOT DISTINCT FROM $1
       AND at > now() - interval '1 hour'
     ORDER BY at DESC, id DESC
     LIMIT 1
"""


async def last_release(db: Connection, tenant_id: TenantId | None) -> tuple[str | None, str | None]:
    """The latest release, with its author and reason, from the audit."""
    row = await db.fetchrow(LAST_RELEASE, tenant_id)
    return (None, None) if row is None else (row["actor"], row["reason"])


COUNT_HOLDS = "SELECT count(*) FROM webhook_holds"


async def count(db: Connection) -> int:
    """How many holds there are."""
    return int(await db.fetchval(COUNT_HOLDS))


def _holds(rows: Sequence[Any]) -> list[Hold]:
    return [
        Hold(
            None if row["tenant_id"] == EVERYTHING else TenantId(row["tenant_id"]),
            row["since"],
            row["held_by"],
            row["reason"],
        )
        for row in rows
    ]
