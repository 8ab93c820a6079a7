"""How many webhooks a tenant has, in all and at one host, paused ones included."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from daemon.core.model.ids import TenantId
from daemon.core.policy.urls import LONGEST_URL
from daemon.store import named_locks
from daemon.store.session import Connection

# As `core.policy.urls` reads a URL: in any case, with or without a final dot.
URL = f"left(endpoint_url, {LONGEST_URL})"
HOST = rf"""rtrim(lower(substring({URL} FROM '^\w+://(\[[^][]*\]|[^][/?#:]*)')), '.')"""


def lock_name(tenant_id: TenantId) -> str:
    """The lock that keeps others from counting the tenant's webhooks."""
    return f"webhookd webhooks of {tenant_id}"


async def lock(db: Connection, tenant_id: TenantId) -> None:
    """Keep others from counting the tenant's webhooks until the end. Raises LockHeldError."""
    await named_locks.take(db, lock_name(tenant_id))


# The application may have made any number.
MOST_COUNTED = 10_000
COUNT_OF_TENANT = """
    SELECT count(*)
      FROM (SELECT
              FROM webhooks
             WHERE tenant_id = $1 AND scope::text <> 'operator'
             LIMIT $2) AS few
"""


async def count_of_tenant(db: Connection, tenant_id: TenantId, *, most: int = MOST_COUNTED) -> int:
    """Return how many webhooks the tenant has, `most` at most, those of operators left out."""
    return int(await db.fetchval(COUNT_OF_TENANT, tenant_id, most))


COUNT_AT_HOST = f"""
    SELECT count(*)
      FROM (SELECT endpoint_url
              FROM webhooks
             WHERE tenant_id = $1 AND scope::text <> 'operator'
             LIMIT $3) AS few
     WHERE {HOST} = ANY ($2::text[])
"""  # noqa: S608  HOST is a constant


async def count_at_host(
    db: Connection, tenant_id: TenantId, spellings: Sequence[str], *, most: int = MOST_COUNTED
) -> int:
    """
    Return how many webhooks the tenant has at a host, those of operators left out.

    The host is given in all its lower-case spellings; `most` webhooks are looked at.
    """
    return int(await db.fetchval(COUNT_AT_HOST, tenant_id, spellings, most))


# The index of a tenant's history by time serves this; paused and changed ones are few.
COUNT_DELETED = """
    SELECT count(*)
      FROM (SELECT
              FROM webhook_history
             WHERE tenant_id = $1 AND deleted
               AND until > pg_catalog.statement_timestamp() - $2::interval
             LIMIT $3) AS deleted
"""


async def count_deleted(
    db: Connection, tenant_id: TenantId, *, within: timedelta, most: int
) -> int:
    """Return how many of the tenant's webhooks were deleted `within` this time, `most` at most."""
    return int(await db.fetchval(COUNT_DELETED, tenant_id, within, most))


@dataclass(frozen=True, slots=True)
class Counted:
    """How many webhooks a tenant has; at one host, if it is named."""

    tenant_id: TenantId
    host: str | None
    count: int


TENANTS_ABOVE = """
    SELECT tenant_id, NULL AS host, count(*) AS count
      FROM webhooks
     GROUP BY tenant_id
    HAVING count(*) > $1
     ORDER BY count DESC, tenant_id
"""


async def tenants_above(db: Connection, limit: int) -> list[Counted]:
    """Return the tenants that have more webhooks than this, most first."""
    return [_counted(row) for row in await db.fetch(TENANTS_ABOVE, limit)]


HOSTS_ABOVE = f"""
    SELECT tenant_id, host, count(*) AS count
      FROM webhooks, LATERAL (SELECT {HOST} AS host) AS judged
     WHERE host IS NOT NULL  -- what is no URL is reported elsewhere
     GROUP BY tenant_id, host
    HAVING count(*) > $1
     ORDER BY count DESC, tenant_id, host
"""  # noqa: S608  HOST is a constant


async def hosts_above(db: Connection, limit: int) -> list[Counted]:
    """Return the tenants that have more webhooks than this at one host, most first."""
    return [_counted(row) for row in await db.fetch(HOSTS_ABOVE, limit)]


MOST_READ = 5000  # webhooks of all these tenants
HOSTS_OF = f"""
    SELECT tenant.id AS tenant_id, judged.host, pg_catalog.count(*) AS count
      FROM pg_catalog.unnest($1::uuid[]) AS tenant (id)
     CROSS JOIN LATERAL (SELECT endpoint_url FROM webhooks
                          WHERE tenant_id = tenant.id LIMIT $4) AS webhook
     CROSS JOIN LATERAL (SELECT {HOST} AS host) AS judged
     WHERE judged.host IS NOT NULL
     GROUP BY tenant.id, judged.host
    HAVING pg_catalog.count(*) > $2
     ORDER BY count DESC, tenant_id, host
     LIMIT $3
"""  # noqa: S608  constants only
MOST_HOSTS = 100


async def hosts_of(db: Connection, ids: Sequence[TenantId], limit: int) -> list[Counted]:
    """
    Return hosts at which these tenants have more webhooks than this, most first.

    The more tenants there are, the fewer webhooks of each are looked at.
    """
    most = MOST_READ // max(1, len(ids))
    return [_counted(row) for row in await db.fetch(HOSTS_OF, ids, limit, MOST_HOSTS, most)]


def _counted(row: Any) -> Counted:
    return Counted(TenantId(row["tenant_id"]), row["host"], row["count"])
