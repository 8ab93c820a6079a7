"""
The attempts of a webhook or of an event, as people read them.

Every statement names the tenant or one of its webhooks: other tenants' rows are not found.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from daemon.core.model.cursor import Cursor
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.store import listing
from daemon.store.attempt_chains import EXHAUSTED
from daemon.store.bounded_texts import (
    LONGEST_RESPONSE,
    LONGEST_SENTENCE,
    MOST_HEAD_BYTES,
    bounded,
)
from daemon.store.listing import ListFilter, find_last_row_read, last_row_read
from daemon.store.payload_size import stored_data
from daemon.store.session import Connection


@dataclass(frozen=True, slots=True)
class Attempt:
    """
    One row of `webhook_deliveries`, as a list shows it.

    `exhausted` says that it failed, and that no other attempt of its event at this webhook is
    pending or was made later.
    """

    id: DeliveryId
    webhook_id: WebhookId
    event_id: EventId
    event_type: str
    status: str
    status_code: int | None
    attempt_number: int
    attempted_at: datetime | None
    next_retry_at: datetime | None
    duration_ms: int | None
    error: str | None
    replay_id: UUID | None
    exhausted: bool


@dataclass(frozen=True, slots=True)
class AttemptDetails:
    """An attempt with all that is stored of it; data, headers and trace are JSON text."""

    attempt: Attempt
    endpoint_url: str
    data: str | None
    data_left_out: bool
    event_created_at: datetime
    signature: str | None
    response_headers: str | None
    response_body: str | None
    trace: str | None


COLUMNS = f"""
           d.id, d.webhook_id, d.event_id, coalesce(d.event_type, '') AS event_type,
           coalesce(d.status, '') AS status,
           d.status_code, d.attempt_number, d.attempted_at, d.next_retry_at, d.duration_ms,
           {bounded("d.error_message", LONGEST_SENTENCE)} AS error_message,
           d.replay_id, {EXHAUSTED} AS exhausted"""

SELECTED = f"""
     WHERE ($4::text IS NULL OR d.event_type::text = $4)
       AND ($5::text IS NULL OR d.status::text = CASE $5 WHEN 'exhausted' THEN 'failed' ELSE $5 END)
       AND ($5 IS DISTINCT FROM 'exhausted' OR {EXHAUSTED})
     ORDER BY d.attempted_at DESC, d.id DESC
     LIMIT $9"""
LIST_FOR_WEBHOOK = f"""
    SELECT {COLUMNS}
      FROM (SELECT *
              FROM webhook_deliveries
             WHERE webhook_id = $1
               AND attempted_at <= $2 AND (attempted_at, id) < ($2, $3)
               -- An OR would not bound the index scan.
               AND attempted_at >= coalesce($6, '-infinity'::timestamptz)
               AND attempted_at < coalesce($7, 'infinity'::timestamptz)
             ORDER BY attempted_at DESC, id DESC
             LIMIT $8) AS d{SELECTED}
"""  # noqa: S608  made of constants only
LIST_OF_EVENT = f"""
    SELECT {COLUMNS}
      FROM (SELECT *
              FROM webhook_deliveries
             -- A range of keys, because only one index can serve that.
             WHERE (event_id, webhook_id) >= ($10::uuid, $1) AND (event_id, webhook_id) <= ($10, $1)
               AND (attempted_at, id) < ($2, $3)
               AND attempted_at >= coalesce($6, '-infinity'::timestamptz)
               AND attempted_at < coalesce($7, 'infinity'::timestamptz)
             LIMIT $8) AS d{SELECTED}
"""  # noqa: S608  made of constants only
FIND_LAST_READ = find_last_row_read("webhook_deliveries", owner="webhook_id", time="attempted_at")


async def list_for_webhook(
    db: Connection,
    webhook_id: WebhookId,
    selected: ListFilter,
    *,
    before: Cursor,
    limit: int,
    event_id: EventId | None = None,
) -> tuple[list[Attempt], Cursor | None]:
    """
    Return a page of a webhook's attempts, newest first, and the cursor of the next page.

    With `event_id`, those of this event only.

    The cursor is None after the last page. A page may be short, even empty, and not be the last:
    at most MAX_ROWS_READ rows are read for it. The caller has checked the webhook's tenant.
    """
    rows = await db.fetch(
        LIST_FOR_WEBHOOK if event_id is None else LIST_OF_EVENT,
        *(webhook_id, before.at, before.id),
        *(selected.type, selected.status, selected.since, selected.until),
        *(listing.MAX_ROWS_READ, limit + 1),
        *([] if event_id is None else [event_id]),
    )
    found = [attempt_entry(row) for row in rows[:limit]]
    if len(rows) > limit:
        return found, Cursor(rows[limit - 1]["attempted_at"], rows[limit - 1]["id"])
    if event_id is not None or (selected.type is None and selected.status is None):
        return found, None
    return found, await last_row_read(db, FIND_LAST_READ, webhook_id, selected, before=before)


FIND_CURSOR = "SELECT attempted_at FROM webhook_deliveries WHERE id = $1 AND webhook_id = $2"


async def cursor_of(db: Connection, webhook_id: WebhookId, delivery_id: UUID) -> Cursor | None:
    """Return the cursor of the page that follows this attempt; None if there is no such attempt."""
    at = await db.fetchval(FIND_CURSOR, delivery_id, webhook_id)
    return None if at is None else Cursor(at, delivery_id)


GET_DETAILS = f"""
    SELECT {COLUMNS},
           left(w.endpoint_url, 2049) AS endpoint_url, d.signature,
           {bounded("d.response_body", LONGEST_RESPONSE)} AS response_body,
           CASE WHEN pg_catalog.pg_column_size(d.trace) > {MOST_HEAD_BYTES} THEN NULL
                WHEN octet_length(d.trace::text) <= {MOST_HEAD_BYTES}
                THEN d.trace END AS trace,
           CASE WHEN pg_catalog.pg_column_size(d.response_headers) > {MOST_HEAD_BYTES} THEN NULL
                WHEN webhook_payload_bytes(d.response_headers, {MOST_HEAD_BYTES}::bigint)
                     <= {MOST_HEAD_BYTES}
                THEN d.response_headers END AS response_headers,
           coalesce(d.event_created_at, e.created_at, d.attempted_at, now()) AS event_created_at
      FROM webhook_deliveries AS d
      JOIN webhooks AS w ON w.id = d.webhook_id AND w.tenant_id = $2
      LEFT JOIN webhook_events AS e ON e.id = d.event_id AND e.tenant_id = w.tenant_id
     WHERE d.id = $1
"""  # noqa: S608  made of constants only


async def get_details(
    db: Connection, tenant_id: TenantId, delivery_id: DeliveryId, *, most_bytes: int
) -> AttemptDetails | None:
    """
    Return an attempt with all that is stored of it; None if the tenant has none of this id.

    Data that print more than `most_bytes` are left out.
    """
    row = await db.fetchrow(GET_DETAILS, delivery_id, tenant_id)
    if row is None:
        return None
    webhook_id = WebhookId(row["webhook_id"])
    data = await stored_data(db, delivery_id, webhook_id, tenant_id, most_bytes=most_bytes)
    return AttemptDetails(
        attempt=attempt_entry(row),
        endpoint_url=row["endpoint_url"],
        data=data,
        data_left_out=data is None,
        event_created_at=row["event_created_at"],
        signature=row["signature"],
        response_headers=row["response_headers"],
        response_body=row["response_body"],
        trace=row["trace"],
    )


LIST_FOR_EVENT = f"""
    SELECT {COLUMNS}
      FROM webhook_deliveries AS d
      JOIN webhooks AS w ON w.id = d.webhook_id AND w.tenant_id = $2
     WHERE d.event_id = $1 AND ($3::uuid IS NULL OR d.webhook_id = $3)
       AND ($5 OR w.scope::text <> 'operator')
     ORDER BY d.attempted_at DESC, d.id DESC
     LIMIT $4
"""  # noqa: S608  made of constants only


async def list_for_event(
    db: Connection,
    tenant_id: TenantId,
    event_id: EventId,
    *,
    webhook_id: WebhookId | None = None,
    limit: int = 200,
    for_operators: bool = True,
) -> list[Attempt]:
    """
    Return the attempts to deliver an event, to one webhook or to all, newest first.

    Unless it is `for_operators`, those to operators' webhooks are left out.
    """
    rows = await db.fetch(LIST_FOR_EVENT, event_id, tenant_id, webhook_id, limit, for_operators)
    return [attempt_entry(row) for row in rows]


def attempt_entry(row: Any) -> Attempt:
    """Read a row with COLUMNS."""
    return Attempt(
        id=DeliveryId(row["id"]),
        webhook_id=WebhookId(row["webhook_id"]),
        event_id=EventId(row["event_id"]),
        event_type=row["event_type"],
        status=row["status"],
        status_code=row["status_code"],
        attempt_number=row["attempt_number"],
        attempted_at=row["attempted_at"],
        next_retry_at=row["next_retry_at"],
        duration_ms=row["duration_ms"],
        error=row["error_message"],
        replay_id=row["replay_id"],
        exhausted=row["exhausted"],
    )
