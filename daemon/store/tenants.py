"""
`tenants`, the table of the application, which may own it.

Its owner may attach functions to it that would run with our rights: policies and the predicates of
indexes when it is read, triggers when it is written. The rule: unless a role that is trusted owns
it, it is neither read nor written. PostgreSQL checks foreign keys to it with the owner's rights.
"""

import asyncpg

from daemon.core.errors import WebhookdError
from daemon.core.model.ids import TenantId
from daemon.store import schema_trust
from daemon.store.session import Connection

TABLE = "tenants"


class UnreadableTenantsError(WebhookdError):
    """`tenants` belongs to a role that is not trusted, or this role may not read it."""


TENANT_EXISTS = "SELECT EXISTS (SELECT FROM tenants WHERE id = $1)"


async def exists(db: Connection, tenant_id: TenantId) -> bool | None:
    """
    Whether the tenant exists; None where that must not be looked up.

    Call outside a transaction: an error would abort it.
    """
    try:
        await _require_readable(db)
        return bool(await db.fetchval(TENANT_EXISTS, tenant_id))
    except (UnreadableTenantsError, asyncpg.InsufficientPrivilegeError):
        return None


TENANTS_WITH_WEBHOOKS = "SELECT DISTINCT tenant_id FROM webhooks ORDER BY 1 LIMIT $1"
TENANTS = "SELECT id FROM tenants ORDER BY 1 LIMIT $1"


async def some(db: Connection, *, limit: int) -> list[TenantId]:
    """
    The tenants that have webhooks; when none has any, all tenants. At most `limit` of them.

    Raises UnreadableTenantsError.
    """
    rows = await db.fetch(TENANTS_WITH_WEBHOOKS, limit)
    if not rows:
        await _require_readable(db)
        rows = await db.fetch(TENANTS, limit)
    return [TenantId(row[0]) for row in rows]


CREATE_TENANT = "INSERT INTO tenants DEFAULT VALUES RETURNING id"


async def create(db: Connection) -> TenantId:
    """
    Create a tenant, where no application does: in an embedded database.

    Raises UnreadableTenantsError.
    """
    await _require_writable(db)
    return TenantId(await db.fetchval(CREATE_TENANT))


ADD_TENANT = "INSERT INTO tenants (id, name) VALUES ($1, $2)"


async def add(db: Connection, tenant_id: TenantId, name: str) -> None:
    """Insert a sample tenant. Raises UnreadableTenantsError."""
    await _require_writable(db)
    await db.execute(ADD_TENANT, tenant_id, name)


async def _require_readable(db: Connection) -> None:
    for table in await schema_trust.find_tables(db, strict=True, tables=TABLE):
        if table.fault:
            raise UnreadableTenantsError(
                f"{table.name} belongs to role {table.role}, and is not used with other rights than"
                f" its own: name a tenant, or create one as {table.role}"
            )


async def _require_writable(db: Connection) -> None:
    await _require_readable(db)
    for code in await schema_trust.foreign_code(db, tables=TABLE):
        raise UnreadableTenantsError(f"no tenant is created, because {code.sentence}")
