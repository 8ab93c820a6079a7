"""
Webhooks, events, deliveries and replays found across all tenants: by an id, an email address, a
URL, a host, or a part of a name or URL.

The rule: a search takes a bounded time, whatever the tables hold.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.policy.urls import LONGEST_URL
from daemon.store.session import Connection

# How long, and in how many webhooks, a part of a text is looked for.
SEARCH_TIME, MOST_READ = timedelta(milliseconds=120), 500_000
LONGEST_NAME, LONGEST_HOST = 255, 255

URL_OR_HOST = re.compile(
    r"(?P<scheme>\w+://)?(?P<host>\[[^][]*\]|[^][/?#:@\s]+\.[^][/?#:@\s]+)(?P<rest>[/?#:].*)?",
    re.ASCII | re.DOTALL,
)
EMAIL = re.compile(r"[^@/\s]+@[^@/\s]+")


@dataclass(frozen=True, slots=True)
class FoundObject:
    """An object of a tenant; `name` is a webhook's name, or an event's type."""

    kind: Literal["webhook", "event", "delivery", "replay"]
    id: UUID
    tenant_id: TenantId
    webhook_id: WebhookId | None
    name: str | None


BY_ID = f"""
    SELECT 'webhook'::text AS kind, id, tenant_id, id AS webhook_id,
           left(name::text, {LONGEST_NAME}) AS name
      FROM webhooks
     WHERE id = $1
     UNION ALL
    SELECT 'event'::text, id, tenant_id, NULL::uuid, left(event_type::text, {LONGEST_NAME})
      FROM webhook_events
     WHERE id = $1
     UNION ALL
    (SELECT 'delivery'::text, d.id, w.tenant_id, w.id, left(d.event_type::text, {LONGEST_NAME})
       FROM webhook_deliveries AS d
       JOIN webhooks AS w ON w.id = d.webhook_id
      WHERE d.id = $1
      LIMIT 1)
     UNION ALL
    SELECT 'replay'::text, id, tenant_id, webhook_id, NULL
      FROM webhook_replays
     WHERE id = $1
"""  # noqa: S608  made of constants only


async def by_id(db: Connection, object_id: UUID) -> list[FoundObject]:
    """The objects with this id."""
    return [_found(row) for row in await db.fetch(BY_ID, object_id)]


async def by_text(db: Connection, text: str, *, limit: int) -> tuple[list[FoundObject], bool]:
    """
    Webhooks that mail this address, or whose URL or name has this text, and whether these are all.

    Those at a host, or below it, are found among any number of webhooks; parts of names and URLs
    among as many as can be looked at in a bounded time.
    """
    if EMAIL.fullmatch(text):
        found = await _by_email(db, text, limit=limit + 1)
        if found:
            return found[:limit], len(found) <= limit
    named = URL_OR_HOST.fullmatch(text)
    at_host = [] if named is None else await _at_host(db, text, named, limit=limit + 1)
    if len(at_host) > limit or (at_host and named is not None and named["scheme"]):
        return at_host[:limit], len(at_host) <= limit
    others, complete = await _with_part(db, text, limit=limit + 1)
    found = list(dict.fromkeys(at_host + others))
    return found[:limit], complete and len(found) <= limit


# As the indexes have them.
EMAIL_KEY = "pg_catalog.lower(notification_email::text)"
HOST_KEY = rf"""pg_catalog.reverse(pg_catalog.left(pg_catalog.rtrim(pg_catalog.lower(
                   pg_catalog.substring(pg_catalog.left(endpoint_url::text, {LONGEST_URL}),
                                        '^\w+://(\[[^][]*\]|[^][/?#:]*)'::text)),
                   '.'::text), {LONGEST_HOST})) COLLATE "C" """
WEBHOOK = f"""'webhook'::text AS kind, id, tenant_id, id AS webhook_id,
           pg_catalog.left(name::text, {LONGEST_NAME}) AS name"""


def _bounded(column: str, longest: int) -> str:
    """SQL: a text column, cut off only where it is long, for that takes longer than the search."""
    return f"""CASE WHEN pg_catalog.pg_column_size({column}) <= {longest} THEN {column}::text
                         ELSE pg_catalog.left({column}::text, {longest}) END"""


# In the order of bytes what is not ASCII keeps its case, as URLs do; it is three times as fast.
LOWER_URL = f"""pg_catalog.lower(({_bounded("endpoint_url", LONGEST_URL)}) COLLATE "C")"""
LOWER_NAME = f"pg_catalog.lower({_bounded('name', LONGEST_NAME)})"

BY_EMAIL = f"""
    SELECT {WEBHOOK}
      FROM webhooks
     WHERE notification_email IS NOT NULL AND {EMAIL_KEY} = pg_catalog.lower($1::text)
     LIMIT $2
"""  # noqa: S608  made of constants only


async def _by_email(db: Connection, address: str, *, limit: int) -> list[FoundObject]:
    return [_found(row) for row in await db.fetch(BY_EMAIL, address, limit)]


AT_HOST = f"""
    SELECT {WEBHOOK}
      FROM webhooks
     WHERE ({HOST_KEY} = $1 OR ({HOST_KEY} >= $2 AND {HOST_KEY} < $3))
       AND pg_catalog.strpos({LOWER_URL}, pg_catalog.lower($4::text COLLATE "C")) > 0
     LIMIT $5
"""  # noqa: S608  made of constants only


async def _at_host(
    db: Connection, text: str, named: re.Match[str], *, limit: int
) -> list[FoundObject]:
    """The webhooks at the host that a text names and, without a scheme, at hosts below it."""
    host = named["host"].lower().rstrip(".")[:LONGEST_HOST][::-1]
    # What begins with the host and a dot, and "/" follows the dot.
    below = (None, None) if named["scheme"] else (f"{host}.", f"{host}/")
    part = text.rstrip(".") if named["rest"] is None else text
    return [_found(row) for row in await db.fetch(AT_HOST, host, *below, part, limit)]


DEADLINE = "pg_catalog.statement_timestamp() + $3::interval"
WITH_PART = f"""
    (SELECT {WEBHOOK}, NULL::boolean AS is_complete
       FROM (SELECT id, tenant_id, name, endpoint_url FROM webhooks LIMIT {MOST_READ}) AS read
      WHERE CASE WHEN pg_catalog.clock_timestamp() > {DEADLINE} THEN false
                 ELSE pg_catalog.strpos({LOWER_NAME}, pg_catalog.lower($1::text)) > 0
                      OR pg_catalog.strpos({LOWER_URL},
                                           pg_catalog.lower($1::text COLLATE "C")) > 0 END
      LIMIT $2)
     UNION ALL
    -- After the others, and so it tells whether time was left.
    SELECT NULL, NULL, NULL, NULL, NULL,
           pg_catalog.clock_timestamp() <= {DEADLINE}
           AND NOT EXISTS (SELECT FROM webhooks OFFSET {MOST_READ})
"""  # noqa: S608  made of constants only


async def _with_part(db: Connection, part: str, *, limit: int) -> tuple[list[FoundObject], bool]:
    *rows, last = await db.fetch(WITH_PART, part, limit, SEARCH_TIME)
    return [_found(row) for row in rows], last["is_complete"] and len(rows) < limit


def _found(row: Any) -> FoundObject:
    return FoundObject(
        kind=row["kind"],
        id=row["id"],
        tenant_id=TenantId(row["tenant_id"]),
        webhook_id=None if row["webhook_id"] is None else WebhookId(row["webhook_id"]),
        name=row["name"],
    )
