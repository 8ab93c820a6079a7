"""Events found by what their data name: a contact, a campaign."""

from dataclasses import dataclass
from typing import Any

from daemon.core.model.cursor import Cursor
from daemon.core.model.ids import EventId, TenantId
from daemon.core.policy.contact_fields import CONTACT_JSON_PATHS
from daemon.store.erasure import IDENTIFIES_CONTACT
from daemon.store.listing import ListFilter
from daemon.store.search import FEWEST_ROWS, FoundPage, Looked, fetch_step, find_page
from daemon.store.session import Connection
from daemon.store.stored_events import EventEntry, as_json, names_campaign

SEARCH = f"""
    WITH read AS MATERIALIZED (
        SELECT id, event_type, created_at, event_data AS data
          FROM webhook_events
         WHERE tenant_id = $3
           AND created_at <= $4 AND (created_at, id) < ($4, $5)
           AND created_at >= coalesce($6, '-infinity'::timestamptz)
           AND created_at < coalesce($7, 'infinity'::timestamptz)
         ORDER BY created_at DESC, id DESC
         LIMIT $8
    ), found AS MATERIALIZED (
        SELECT id, event_type, created_at
          FROM read
         -- In this order: the data may be large.
         WHERE CASE WHEN $9::text IS NOT NULL AND event_type::text IS DISTINCT FROM $9 THEN false
                    WHEN $10::jsonb[] IS NULL THEN true
                    ELSE {names_campaign("$10")} END
           AND CASE WHEN $9::text IS NOT NULL AND event_type::text IS DISTINCT FROM $9 THEN false
                    WHEN $1::text IS NULL THEN true
                    ELSE {IDENTIFIES_CONTACT} END
         ORDER BY created_at DESC, id DESC
         LIMIT $11
    )
    SELECT id, coalesce(event_type, '') AS event_type, created_at, NULL::bigint AS looked_at
      FROM found
     UNION ALL
    (SELECT id, NULL, created_at, (SELECT pg_catalog.count(*) FROM read)
       FROM read
      ORDER BY created_at, id
      LIMIT 1)
"""  # noqa: S608  made of constants only
KEY_OF_NEXT = """
    SELECT id, created_at
      FROM webhook_events
     WHERE tenant_id = $1
       AND created_at <= $2 AND (created_at, id) < ($2, $3)
       AND created_at >= coalesce($4, '-infinity'::timestamptz)
       AND created_at < coalesce($5, 'infinity'::timestamptz)
     ORDER BY created_at DESC, id DESC
     LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """The events to find, by type and time (`listed`) and by what their data name."""

    listed: ListFilter
    contact: str | None = None
    campaign: str | None = None


async def search_events(
    db: Connection, tenant_id: TenantId, selected: EventFilter, *, before: Cursor, limit: int
) -> FoundPage[EventEntry]:
    """
    Return a page of the tenant's events that match, newest first.

    An event whose data alone take longer than a step may is passed over.
    """

    async def look(cursor: Cursor, rows: int, wanted: int) -> Looked[EventEntry] | None:
        looked = await _look(db, tenant_id, selected, cursor, rows=rows, wanted=wanted)
        if looked is not None or rows > FEWEST_ROWS:
            return looked
        return Looked([], await _next_key(db, tenant_id, selected.listed, cursor), 1)

    return await find_page(look, before=before, limit=limit, cursor_of=_cursor_of)


async def _look(
    db: Connection,
    tenant_id: TenantId,
    selected: EventFilter,
    cursor: Cursor,
    *,
    rows: int,
    wanted: int,
) -> Looked[EventEntry] | None:
    listed = selected.listed
    found = await fetch_step(
        *(db, SEARCH, selected.contact, CONTACT_JSON_PATHS, tenant_id, cursor.at, cursor.id),
        *(listed.since, listed.until, rows, listed.type, as_json(selected.campaign), wanted),
    )
    if found is None:
        return None
    if not found:
        return Looked([], None, 0)
    *matching, last = found
    is_last = last["looked_at"] < rows
    following = None if is_last else Cursor(last["created_at"], last["id"])
    return Looked([_entry(row) for row in matching], following, last["looked_at"])


async def _next_key(
    db: Connection, tenant_id: TenantId, listed: ListFilter, cursor: Cursor
) -> Cursor | None:
    """The cursor behind the next event; None if there is none."""
    row: Any = await db.fetchrow(
        KEY_OF_NEXT, tenant_id, cursor.at, cursor.id, listed.since, listed.until
    )
    return None if row is None else Cursor(row["created_at"], row["id"])


def _cursor_of(entry: EventEntry) -> Cursor:
    assert entry.created_at is not None  # those without a time are not listed
    return Cursor(entry.created_at, entry.id)


def _entry(row: Any) -> EventEntry:
    return EventEntry(EventId(row["id"]), row["event_type"], row["created_at"])
