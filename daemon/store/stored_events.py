"""Stored events, read by id, by page, and as samples for test events."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from daemon.core.model.cursor import Cursor
from daemon.core.model.ids import EventId, TenantId
from daemon.store import listing
from daemon.store.listing import ListFilter, find_last_row_read, last_row_read
from daemon.store.payload_size import FETCHED_AT_ONCE, event_data, quick_bytes, within_seconds
from daemon.store.session import Connection

SEARCH_SECONDS = 1
NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?")

QUICK_DATA = f"""
    WITH measured AS MATERIALIZED (
        SELECT id, event_data, {quick_bytes("event_data", "$2")} AS bytes
          FROM webhook_events
         WHERE id = ANY ($1::uuid[])
    )
    SELECT id, bytes, CASE WHEN bytes <= $3 THEN event_data END AS data FROM measured
"""  # noqa: S608  made of constants only


async def quick_data(db: Connection, ids: Sequence[EventId]) -> dict[EventId, str | None]:
    """Return the data of those of these events that are measured and printed in no time."""
    rows = await db.fetch(QUICK_DATA, ids, FETCHED_AT_ONCE, FETCHED_AT_ONCE)
    return {
        EventId(row["id"]): row["data"]
        for row in rows
        if row["bytes"] is not None and row["bytes"] <= FETCHED_AT_ONCE
    }


@dataclass(frozen=True, slots=True)
class EventEntry:
    """
    One row of `webhook_events`; `data` is JSON text, `data_bytes` its size as PostgreSQL prints it.

    Lists have neither, and data of more bytes than the caller wanted are left out.
    """

    id: EventId
    type: str
    created_at: datetime | None
    data: str | None = None
    data_bytes: int = 0


LIST_EVENTS = """
    SELECT id, coalesce(event_type, '') AS event_type, created_at
      FROM (SELECT id, event_type, created_at
              FROM webhook_events
             WHERE tenant_id = $1
               AND created_at <= $2 AND (created_at, id) < ($2, $3)
               AND created_at >= coalesce($5, '-infinity'::timestamptz)
               AND created_at < coalesce($6, 'infinity'::timestamptz)
             ORDER BY created_at DESC, id DESC
             LIMIT $7) AS read
     WHERE ($4::text IS NULL OR event_type::text = $4)
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


GET_CURSOR = "SELECT created_at FROM webhook_events WHERE id = $1 AND tenant_id = $2"


async def cursor_of(db: Connection, tenant_id: TenantId, event_id: UUID) -> Cursor | None:
    """Return the cursor of the page that follows this event; None if there is no such event."""
    at = await db.fetchval(GET_CURSOR, event_id, tenant_id)
    return None if at is None else Cursor(at, event_id)


GET_EVENT = """
    SELECT id, coalesce(event_type, '') AS event_type, created_at
      FROM webhook_events
     WHERE id = $1 AND tenant_id = $2
"""


async def get_event(
    db: Connection, tenant_id: TenantId, event_id: EventId, *, most_bytes: int
) -> EventEntry | None:
    """
    Return an event with its data, unless they print more than `most_bytes`.

    Returns None if the tenant has no event of this id.
    """
    row = await db.fetchrow(GET_EVENT, event_id, tenant_id)
    if row is None:
        return None
    size, data = await event_data(db, event_id, most_bytes=most_bytes)
    return EventEntry(event_id, row["event_type"], row["created_at"], data, size)


def names_campaign(ids: str) -> str:
    """SQL: whether `data` names one of the campaigns `ids`, a parameter with their ids as JSON."""
    return f"""(data -> 'campaign_id'::text = ANY ({ids})
            OR data -> 'campaignId'::text = ANY ({ids})
            OR data #> '{{campaign,id}}'::text[] = ANY ({ids}))"""


FIND_LATEST = f"""
    -- Ten thousand are enough to search for a sample: a tenant with more has newer ones that match.
    -- Values are compared as JSON: printed, one may take a gigabyte.
    SELECT id
      FROM (SELECT id, event_data AS data, created_at
              FROM webhook_events
             WHERE tenant_id = $1 AND event_type::text = $2
             ORDER BY created_at DESC
             LIMIT 10000) AS latest
     WHERE ($3::jsonb[] IS NULL
            OR {names_campaign("$3")})
       AND ($4::jsonb[] IS NULL
            OR data -> 'contact_id'::text = ANY ($4) OR data -> 'contactId'::text = ANY ($4)
            OR data #> '{{contact,id}}'::text[] = ANY ($4)
            OR data #> '{{contact,email}}'::text[] = ANY ($4))
     ORDER BY created_at DESC
     LIMIT 1
"""  # noqa: S608  made of constants only


async def find_latest(
    db: Connection,
    tenant_id: TenantId,
    event_type: str,
    *,
    most_bytes: int,
    campaign_id: str | None = None,
    contact_id: str | None = None,
) -> EventEntry | None:
    """
    Return the latest event of this type that names this campaign and this contact, if any.

    None also if the search takes over a second: the events are large.
    """
    found = await within_seconds(
        db,
        SEARCH_SECONDS,
        *(FIND_LATEST, tenant_id, event_type, as_json(campaign_id), as_json(contact_id)),
    )
    if found is None:
        return None
    return await get_event(db, tenant_id, EventId(found), most_bytes=most_bytes)


def as_json(value: str | None) -> list[str] | None:
    """Return an id as JSON has it: a string, or the number that it looks like."""
    if value is None:
        return None
    texts = [orjson.dumps(value).decode()]
    return [*texts, value] if NUMBER.fullmatch(value) else texts


def _entry(row: Any) -> EventEntry:
    return EventEntry(EventId(row["id"]), row["event_type"], row["created_at"])
