"""Stored events, read by id, by page, and as samples for test events."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from daemon.core.model.cursor import Cursor
from daemon.core.model.ids import EventId, TenantId
from daemon.store import listing
from daemon.store.listing import ListFilter, find_last_row_read, last_row_read
from daemon.store.session import Connection

GET_DATA = "SELECT id, event_data FROM webhook_events WHERE id = ANY ($1::uuid[])"


async def data_of(db: Connection, ids: Sequence[EventId]) -> dict[EventId, str | None]:
    """Return the data of these events, as PostgreSQL prints the JSON."""
    return {EventId(row["id"]): row["event_data"] for row in await db.fetch(GET_DATA, ids)}


@dataclass(frozen=True, slots=True)
class EventEntry:
    """One row of `webhook_events`; `data` is JSON text, and None in lists."""

    id: EventId
    type: str
    created_at: datetime | None
    data: str | None = None


LIST_EVENTS = """
    SELECT id, coalesce(event_type, '') AS event_type, created_at, NULL AS event_data
      FROM (SELECT id, event_type, created_at
              FROM webhook_events
             WHERE tenant_id = $1
               AND created_at <= $2 AND (created_at, id) < ($2, $3)
               AND created_at >= coalesce($5, '-infinity'::timestamptz)
               AND created_at < coalesce($6, 'infinity'::timestamptz)
             ORDER BY created_at DESC, id DESC
             LIMIT $7) AS read
     WHERE ($4::text IS NULL OR event_type = $4)
     ORDER BY created_at DESC, id DESC
     LIMIT $8
"""
FIND_LAST_READ = find_last_row_read("webhook_events", owner="tenant_id", time="created_at")


async def list_events(
    db: Connection, tenant_id: TenantId, selected: ListFilter, *, before: Cursor, limit: int
) -> tuple[list[EventEntry], Cursor | None]:
    """
    Return a page of a tenant's events, newest first, and the cursor of the next page.

    Pages end as those of `attempts.list_for_webhook` do; `selected.status` is ignored.
    """
    rows = await db.fetch(
        LIST_EVENTS,
        *(tenant_id, before.at, before.id, selected.type, selected.since, selected.until),
        *(listing.MAX_ROWS_READ, limit + 1),
    )
    found = [_entry(row) for row in rows[:limit]]
    if len(rows) > limit:
        return found, Cursor(rows[limit - 1]["created_at"], rows[limit - 1]["id"])
    if selected.type is None:
        return found, None
    return found, await last_row_read(db, FIND_LAST_READ, tenant_id, selected, before=before)


GET_EVENT = """
    SELECT id, coalesce(event_type, '') AS event_type, created_at, event_data
      FROM webhook_events
     WHERE id = $1 AND tenant_id = $2
"""


async def get_event(db: Connection, tenant_id: TenantId, event_id: EventId) -> EventEntry | None:
    """Return an event with its data; None if the tenant has none of this id."""
    row = await db.fetchrow(GET_EVENT, event_id, tenant_id)
    return None if row is None else _entry(row)


FIND_LATEST = """
    -- Ten thousand are enough to search for a sample: a tenant with more has newer ones that match.
    SELECT id, event_type, created_at, event_data
      FROM (SELECT id, event_type, created_at, event_data
              FROM webhook_events
             WHERE tenant_id = $1 AND event_type = $2
             ORDER BY created_at DESC
             LIMIT 10000) AS latest
     WHERE ($3::text IS NULL OR $3 IN (
                event_data->>'campaign_id', event_data->>'campaignId',
                event_data #>> '{campaign,id}'))
       AND ($4::text IS NULL OR $4 IN (
                event_data->>'contact_id', event_data->>'contactId',
                event_data #>> '{contact,id}', event_data #>> '{contact,email}'))
     ORDER BY created_at DESC
     LIMIT 1
"""


async def find_latest(
    db: Connection,
    tenant_id: TenantId,
    event_type: str,
    *,
    campaign_id: str | None = None,
    contact_id: str | None = None,
) -> EventEntry | None:
    """Return the latest event of this type that names this campaign and this contact, if any."""
    row = await db.fetchrow(FIND_LATEST, tenant_id, event_type, campaign_id, contact_id)
    return None if row is None else _entry(row)


def _entry(row: Any) -> EventEntry:
    return EventEntry(EventId(row["id"]), row["event_type"], row["created_at"], row["event_data"])
