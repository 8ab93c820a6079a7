"""Stored events, read by id, by page, and for tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from daemon.core.model.ids import EventId, TenantId
from daemon.store.page import LOOKED_AT_ONCE, Place, Which
from daemon.store.session import Connection

DATA = "SELECT id, event_data FROM webhook_events WHERE id = ANY ($1::uuid[])"


async def data_of(db: Connection, ids: Sequence[EventId]) -> dict[EventId, str | None]:
    """The events' data as PostgreSQL prints it."""
    return {EventId(row["id"]): row["event_data"] for row in await db.fetch(DATA, ids)}


@dataclass(frozen=True, slots=True)
class EventEntry:
    """One row of `webhook_events`; `data` is JSON text, and None in lists."""

    id: EventId
    type: str
    created_at: datetime | None
    data: str | None = None


EVENTS = """
    SELECT id, coalesce(event_type, '') AS event_type, created_at
      FROM (SELECT id, event_type, created_at
              FROM webhook_events
             WHERE tenant_id = $1
               AND created_at <= $2 AND (created_at, id) < ($2, $3)
               AND created_at >= coalesce($5, '-infinity'::timestamptz)
               AND created_at < coalesce($6, 'infinity'::timestamptz)
             ORDER BY created_at DESC, id DESC
             LIMIT $7) AS looked_at
     WHERE ($4::text IS NULL OR event_type = $4)
     ORDER BY created_at DESC, id DESC
     LIMIT $8
"""


EVENTS_LOOKED_AT = """
    SELECT created_at AS at, id
      FROM webhook_events
     WHERE tenant_id = $1
       AND created_at <= $2 AND (created_at, id) < ($2, $3)
       AND created_at >= coalesce($4, '-infinity'::timestamptz)
       AND created_at < coalesce($5, 'infinity'::timestamptz)
     ORDER BY created_at DESC, id DESC
    OFFSET $6 LIMIT 1
"""


async def events(
    db: Connection, tenant_id: TenantId, which: Which, *, before: Place, limit: int
) -> tuple[list[EventEntry], Place | None]:
    """A page of a tenant's events, and where the next one begins: see `attempts`."""
    rows = await db.fetch(
        EVENTS,
        *(tenant_id, before.at, before.id, which.type, which.since, which.until),
        *(LOOKED_AT_ONCE, limit + 1),
    )
    found = [EventEntry(EventId(r["id"]), r["event_type"], r["created_at"]) for r in rows[:limit]]
    if len(rows) > limit:
        return found, Place(rows[limit - 1]["created_at"], rows[limit - 1]["id"])
    if which.type is None:
        return found, None
    end = await db.fetchrow(
        EVENTS_LOOKED_AT,
        *(tenant_id, before.at, before.id, which.since, which.until, LOOKED_AT_ONCE - 1),
    )
    return found, None if end is None else Place(end["at"], end["id"])


EVENT = """
    SELECT id, coalesce(event_type, '') AS event_type, created_at, event_data
      FROM webhook_events
     WHERE id = $1 AND tenant_id = $2
"""


async def event(db: Connection, tenant_id: TenantId, event_id: EventId) -> EventEntry | None:
    row = await db.fetchrow(EVENT, event_id, tenant_id)
    if row is None:
        return None
    return EventEntry(EventId(row["id"]), row["event_type"], row["created_at"], row["event_data"])


LATEST_FITTING = """
    -- Ten thousand are enough to look through for a test; who has more has newer ones that fit.
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


async def latest_fitting(
    db: Connection,
    tenant_id: TenantId,
    event_type: str,
    *,
    campaign_id: str | None = None,
    contact_id: str | None = None,
) -> EventEntry | None:
    """The latest event of this type about this campaign and this contact."""
    row = await db.fetchrow(LATEST_FITTING, tenant_id, event_type, campaign_id, contact_id)
    if row is None:
        return None
    return EventEntry(EventId(row["id"]), row["event_type"], row["created_at"], row["event_data"])
