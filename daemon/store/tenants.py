"""
`tenants`, the table of the application, which may own it.

Its owner may attach functions to it that would run with our rights: policies and the predicates of
indexes when it is read, triggers when it is written. The rule: unless a role that is trusted owns
it, it is neither read nor written. PostgreSQL checks foreign keys to it all the same: see
`foreign_keys`.
"""

import time
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from daemon.core.errors import WebhookdError
from daemon.core.model.ids import TenantId
from daemon.store import schema_trust
from daemon.store.schema_trust import ForeignCode
from daemon.store.session import Connection

TABLE = "tenants"
LONGEST_NAME = 255
# Tenants whose names are looked at in one step, and after how long no other one follows.
STEP_ROWS, PAGE_SECONDS = 10_000, 0.1


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


AFTER = "SELECT id FROM tenants WHERE id > $1 ORDER BY id LIMIT $2"
WITH_WEBHOOKS_AFTER = """
    -- A loose scan: one index probe for each tenant, however many webhooks it has.
    WITH RECURSIVE tenant (number, id) AS (
        (SELECT 1, tenant_id FROM webhooks WHERE tenant_id > $1 ORDER BY tenant_id LIMIT 1)
        UNION ALL
        SELECT tenant.number + 1, following.id
          FROM tenant
         CROSS JOIN LATERAL (SELECT tenant_id AS id FROM webhooks
                              WHERE tenant_id > tenant.id ORDER BY tenant_id LIMIT 1) AS following
         WHERE tenant.number < $2
    )
    SELECT id FROM tenant ORDER BY id
"""


async def after(db: Connection, tenant_id: UUID, *, limit: int) -> list[TenantId]:
    """
    Up to `limit` tenants behind this id, in the order of their ids.

    Only those with webhooks where `tenants` must not be read. Call outside a transaction.
    """
    try:
        await _require_readable(db)
        rows = await db.fetch(AFTER, tenant_id, limit)
    except (UnreadableTenantsError, asyncpg.InsufficientPrivilegeError):
        rows = await db.fetch(WITH_WEBHOOKS_AFTER, tenant_id, limit)
    return [TenantId(row["id"]) for row in rows]


HAS_NAMES = """
    SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute
                    WHERE attrelid = to_regclass('tenants'::text)::oid AND attname = 'name'
                      AND NOT attisdropped
                      AND atttypid IN ('pg_catalog.text'::regtype::oid,
                                       'pg_catalog.varchar'::regtype::oid)
                      AND pg_catalog.has_table_privilege(attrelid, 'SELECT'::text))
"""
NAMES = f"""
    SELECT id, left(name::text, {LONGEST_NAME}) AS name FROM tenants
     WHERE id = ANY ($1::uuid[]) AND name IS NOT NULL
"""  # noqa: S608  LONGEST_NAME is a constant


async def names(db: Connection, ids: Sequence[TenantId]) -> dict[TenantId, str]:
    """
    The names of those of these tenants that have one, where the application keeps names.

    Call outside a transaction.
    """
    if not await _has_names(db):
        return {}
    return {TenantId(row["id"]): row["name"] for row in await db.fetch(NAMES, ids)}


FIND_BY_NAME = f"""
    WITH read AS MATERIALIZED (
        SELECT id, left(name::text, {LONGEST_NAME}) AS name
          FROM tenants WHERE id > $1 ORDER BY id LIMIT $3
    )
    (SELECT id, false AS is_last FROM read
      WHERE strpos(lower(name), lower($2)) > 0
      ORDER BY id LIMIT $4)
     UNION ALL
    (SELECT id, true FROM read ORDER BY id DESC LIMIT 1)
"""  # noqa: S608  LONGEST_NAME is a constant


async def find_by_name(
    db: Connection, part: str, *, after: UUID, limit: int
) -> tuple[list[TenantId], TenantId | None]:
    """
    Tenants behind an id whose name has this part in any case, and the id of the next page's start.

    A page looks at names for a bounded time. Call outside a transaction.
    """
    if not await _has_names(db):
        return [], None
    found: list[TenantId] = []
    began = time.monotonic()
    while time.monotonic() - began < PAGE_SECONDS:
        rows = await db.fetch(FIND_BY_NAME, after, part, STEP_ROWS, limit + 1 - len(found))
        if not rows:
            return found, None
        found += [TenantId(row["id"]) for row in rows if not row["is_last"]]
        if len(found) > limit:
            return found[:limit], found[limit - 1]
        after = rows[-1]["id"]
    return found, TenantId(after)


async def _has_names(db: Connection) -> bool:
    """Whether the names of tenants may be read."""
    try:
        await _require_readable(db)
        return bool(await db.fetchval(HAS_NAMES))
    except UnreadableTenantsError:
        return False


WITH_ID = """
    SELECT EXISTS (SELECT FROM webhooks WHERE tenant_id = $1)
        OR EXISTS (SELECT FROM webhook_events WHERE tenant_id = $1)
"""


async def has_data(db: Connection, tenant_id: TenantId) -> bool:
    """Whether the tenant has webhooks or events, whatever `tenants` says."""
    return bool(await db.fetchval(WITH_ID, tenant_id))


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
    for code in await code_in_reads(db):
        raise UnreadableTenantsError(f"tenants is not read, because {code.sentence}")


async def code_in_reads(db: Connection) -> list[ForeignCode]:
    """Code of untrusted roles that runs when `tenants` is read, or a foreign key is checked."""
    attached = await schema_trust.foreign_code(db, tables=TABLE)
    return [code for code in attached if code.runs_in_reads]


async def _require_writable(db: Connection) -> None:
    await _require_readable(db)
    for code in await schema_trust.foreign_code(db, tables=TABLE):
        raise UnreadableTenantsError(f"no tenant is created, because {code.sentence}")
