"""
What has happened, for people to look at: events, and the attempts to deliver them.

Every statement names the tenant: what is another's is not there. Newest first, and a page goes on
where the last one ended, so that what comes meanwhile shifts nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.store.page import LOOKED_AT_ONCE, Place, Which
from daemon.store.session import Connection


@dataclass(frozen=True, slots=True)
class Attempt:
    """One row of `webhook_deliveries`, as a list shows it."""

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
    """It failed, no other follows, and nothing of its event was delivered or waits."""


@dataclass(frozen=True, slots=True)
class AttemptInFull:
    """The same with all that is kept of it; data, headers and trace are JSON text."""

    attempt: Attempt
    endpoint_url: str
    data: str | None
    event_created_at: datetime
    signature: str | None
    response_headers: str | None
    response_body: str | None
    trace: str | None


def _attempt(row: Any) -> Attempt:
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


# Of a row d of webhook_deliveries; a range of keys, as in `candidates`.
EXHAUSTED = """
    (d.status = 'failed' AND NOT EXISTS (
         SELECT
           FROM webhook_deliveries AS other
          WHERE (other.event_id, other.webhook_id) >= (d.event_id, d.webhook_id)
            AND (other.event_id, other.webhook_id) <= (d.event_id, d.webhook_id)
            AND (other.status <> 'failed'
                 OR (other.attempted_at, other.id) > (d.attempted_at, d.id))))"""
ATTEMPT = (
    """
    SELECT d.id, d.webhook_id, d.event_id, coalesce(d.event_type, '') AS event_type, d.status,
           d.status_code, d.attempt_number, d.attempted_at, d.next_retry_at, d.duration_ms,
           d.error_message, d.replay_id, """
    + EXHAUSTED
    + " AS exhausted"
)
ATTEMPTS = (
    ATTEMPT  # noqa: S608  made of constants alone
    + """
      FROM (SELECT *
              FROM webhook_deliveries
             WHERE webhook_id = $1
               AND attempted_at <= $2 AND (attempted_at, id) < ($2, $3)
               -- An OR would be no bound of the index.
               AND attempted_at >= coalesce($6, '-infinity'::timestamptz)
               AND attempted_at < coalesce($7, 'infinity'::timestamptz)
             ORDER BY attempted_at DESC, id DESC
             LIMIT $8) AS d
     WHERE ($4::text IS NULL OR d.event_type = $4)
       AND ($5::text IS NULL OR d.status = CASE $5 WHEN 'exhausted' THEN 'failed' ELSE $5 END)
       AND ($5 IS DISTINCT FROM 'exhausted' OR """
    + EXHAUSTED
    + """)
     ORDER BY d.attempted_at DESC, d.id DESC
     LIMIT $9
"""
)
ATTEMPTS_LOOKED_AT = """
    SELECT attempted_at AS at, id
      FROM webhook_deliveries
     WHERE webhook_id = $1
       AND attempted_at <= $2 AND (attempted_at, id) < ($2, $3)
       AND attempted_at >= coalesce($4, '-infinity'::timestamptz)
       AND attempted_at < coalesce($5, 'infinity'::timestamptz)
     ORDER BY attempted_at DESC, id DESC
    OFFSET $6 LIMIT 1
"""


async def attempts(
    db: Connection, webhook_id: WebhookId, which: Which, *, before: Place, limit: int
) -> tuple[list[Attempt], Place | None]:
    """
    A page of a webhook's attempts, and where the next one begins, if there may be more.

    Whose webhook it is, the caller has seen to. A page may be short, even empty, and yet not the
    last: no more than so many rows are looked at for it.
    """
    rows = await db.fetch(
        ATTEMPTS,
        *(webhook_id, before.at, before.id),
        *(which.type, which.status, which.since, which.until, LOOKED_AT_ONCE, limit + 1),
    )
    found = [_attempt(row) for row in rows[:limit]]
    if len(rows) > limit:
        return found, Place(rows[limit - 1]["attempted_at"], rows[limit - 1]["id"])
    if which.type is None and which.status is None:
        return found, None
    end = await db.fetchrow(
        ATTEMPTS_LOOKED_AT,
        *(webhook_id, before.at, before.id, which.since, which.until, LOOKED_AT_ONCE - 1),
    )
    return found, None if end is None else Place(end["at"], end["id"])


ATTEMPT_PLACE = "SELECT attempted_at FROM webhook_deliveries WHERE id = $1 AND webhook_id = $2"


async def place_of_attempt(
    db: Connection, webhook_id: WebhookId, delivery_id: UUID
) -> Place | None:
    """Where the page after this attempt begins."""
    at = await db.fetchval(ATTEMPT_PLACE, delivery_id, webhook_id)
    return None if at is None else Place(at, delivery_id)


IN_FULL = (
    ATTEMPT
    + """,
           w.endpoint_url, d.signature, d.response_headers, d.response_body, d.trace,
           CASE WHEN d.payload IS NULL THEN e.event_data ELSE d.payload END AS data,
           coalesce(d.event_created_at, e.created_at, d.attempted_at, now()) AS event_created_at
      FROM webhook_deliveries AS d
      JOIN webhooks AS w ON w.id = d.webhook_id AND w.tenant_id = $2
      LEFT JOIN webhook_events AS e ON e.id = d.event_id AND e.tenant_id = w.tenant_id
     WHERE d.id = $1
"""
)


async def attempt_in_full(
    db: Connection, tenant_id: TenantId, delivery_id: DeliveryId
) -> AttemptInFull | None:
    row = await db.fetchrow(IN_FULL, delivery_id, tenant_id)
    if row is None:
        return None
    return AttemptInFull(
        attempt=_attempt(row),
        endpoint_url=row["endpoint_url"],
        data=row["data"],
        event_created_at=row["event_created_at"],
        signature=row["signature"],
        response_headers=row["response_headers"],
        response_body=row["response_body"],
        trace=row["trace"],
    )


OF_EVENT = (
    ATTEMPT
    + """
      FROM webhook_deliveries AS d
      JOIN webhooks AS w ON w.id = d.webhook_id AND w.tenant_id = $2
     WHERE d.event_id = $1 AND ($3::uuid IS NULL OR d.webhook_id = $3)
     ORDER BY d.attempted_at DESC, d.id DESC
     LIMIT $4
"""
)


async def attempts_for_event(
    db: Connection,
    tenant_id: TenantId,
    event_id: EventId,
    *,
    webhook_id: WebhookId | None = None,
    limit: int = 200,
) -> list[Attempt]:
    """Every attempt to deliver this event, or those to one webhook."""
    rows = await db.fetch(OF_EVENT, event_id, tenant_id, webhook_id, limit)
    return [_attempt(row) for row in rows]
