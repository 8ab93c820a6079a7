"""
Attempts: made by fan-out, leased by a worker, settled with what came of them.

A lease is a time in the row, never a transaction held across HTTP. It leaves `next_retry_at` and
with it every index alone; it lapses by itself when its holder dies; and it is the fence: a result
is stored only while the row still bears the very lease that the result's claim was given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from daemon.core.model.attempts import Claim
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.core.model.secrets import StoredSecrets
from daemon.core.scheduling.lanes import Turn
from daemon.store.database import Connection


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """The first attempt to be made of one event for one webhook."""

    id: DeliveryId
    webhook_id: WebhookId
    event_id: EventId
    event_created_at: datetime


CREATE = """
    INSERT INTO webhook_deliveries
           (id, webhook_id, event_id, event_type, payload, event_created_at)
    SELECT new.id, new.webhook_id, e.id, coalesce(e.event_type, ''), e.event_data, new.created_at
      FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[])
           AS new (id, webhook_id, event_id, created_at)
      JOIN webhook_events AS e ON e.id = new.event_id
"""


async def create(db: Connection, new: Sequence[NewDelivery]) -> None:
    """Insert first attempts, due at the transaction's time."""
    await db.execute(
        CREATE,
        [d.id for d in new],
        [d.webhook_id for d in new],
        [d.event_id for d in new],
        [d.event_created_at for d in new],
    )


@dataclass(frozen=True, slots=True)
class Upcoming:
    """The earliest attempt that waits in a lane; `due_in` counts seconds from now, past is < 0."""

    at: datetime
    due_in: float


@dataclass(slots=True)
class Catch:
    """What one turn brought: `last_due` is the latest due time among the claims."""

    claims: list[Claim]
    last_due: datetime | None
    upcoming: Upcoming | None


CLAIM = """
    -- MATERIALIZED fixes the rows first; a bare sub-select may run twice and lease too many.
    WITH lane AS MATERIALIZED (
        SELECT w.id, turn.room, coalesce(turn.since, '-infinity') AS since,
               w.tenant_id, w.endpoint_url, w.secret_key, w.custom_headers,
               w.client_certificate, w.client_key,
               CASE WHEN w.previous_secret_expires_at > now() THEN w.previous_secret_key END
                   AS previous_secret
          FROM unnest($1::uuid[], $2::int[], $3::timestamptz[]) AS turn (webhook_id, room, since)
          JOIN webhooks AS w ON w.id = turn.webhook_id AND w.is_active
    ), due AS MATERIALIZED (
        SELECT lane.*, d.id AS delivery_id
          FROM lane CROSS JOIN LATERAL (
                SELECT id
                  FROM webhook_deliveries
                 WHERE webhook_id = lane.id AND status = 'pending_retry'
                   AND next_retry_at >= lane.since AND next_retry_at <= now()
                   AND (leased_until IS NULL OR leased_until < now())
                 ORDER BY next_retry_at
                 LIMIT lane.room
                   FOR UPDATE SKIP LOCKED) AS d
    ), leased AS (
        UPDATE webhook_deliveries AS d
           SET leased_until = now() + $4
          FROM due
         WHERE d.id = due.delivery_id
     RETURNING d.*, due.tenant_id, due.endpoint_url, due.secret_key, due.previous_secret,
               due.custom_headers, due.client_certificate, due.client_key
    )
    SELECT d.webhook_id, d.id, d.tenant_id, d.endpoint_url, d.secret_key, d.previous_secret,
           d.custom_headers, d.client_certificate, d.client_key,
           d.event_id, coalesce(d.event_type, '') AS event_type, d.attempt_number,
           d.next_retry_at, d.leased_until,
           -- A row that the application inserted knows its event by id alone, if there is one.
           CASE WHEN d.payload IS NULL THEN e.event_data ELSE d.payload END AS data,
           coalesce(d.event_created_at,
                    CASE WHEN e.created_at BETWEEN '0001-01-02' AND '9999-12-30'
                         THEN e.created_at END,
                    d.attempted_at, now()) AS event_created_at,
           d.replay_id IS NOT NULL AS replayed,
           NULL::float8 AS due_in
      FROM leased AS d
      LEFT JOIN LATERAL (
            SELECT event_data, created_at
              FROM webhook_events
             WHERE (d.event_created_at IS NULL OR d.payload IS NULL)
               AND id = d.event_id AND tenant_id = d.tenant_id) AS e
             ON true
    UNION ALL
    -- And a row for each lane: what comes due there next.
    SELECT lane.id, NULL, NULL, NULL, NULL, NULL,
           NULL, NULL, NULL,
           NULL, NULL, NULL,
           upcoming.next_retry_at, NULL,
           NULL, NULL, NULL, extract(epoch FROM upcoming.next_retry_at - now())::float8
      FROM lane
      LEFT JOIN LATERAL (
            SELECT next_retry_at
              FROM webhook_deliveries
             WHERE webhook_id = lane.id AND status = 'pending_retry' AND next_retry_at > now()
             ORDER BY next_retry_at
             LIMIT 1) AS upcoming ON true
"""


async def claim(
    db: Connection, turns: Sequence[Turn], *, lease: timedelta
) -> dict[WebhookId, Catch]:
    """
    Lease what is due; a webhook that is paused or gone is not in the answer.

    URL and secrets come with every claim, so what a person changed is in force with the next.
    """
    rows = await db.fetch(
        CLAIM,
        [turn.webhook_id for turn in turns],
        [turn.room for turn in turns],
        [turn.since for turn in turns],
        lease,
    )
    catches = {row["webhook_id"]: _catch_of(row) for row in rows if row["id"] is None}
    for row in rows:
        if row["id"] is not None:
            catch = catches[row["webhook_id"]]
            catch.claims.append(_claim_of(row, lease))
            due = row["next_retry_at"]
            catch.last_due = due if catch.last_due is None else max(catch.last_due, due)
    return catches


def _catch_of(row: Any) -> Catch:
    at = row["next_retry_at"]
    return Catch([], None, None if at is None else Upcoming(at, row["due_in"]))


def _claim_of(row: Any, lease: timedelta) -> Claim:
    return Claim(
        delivery_id=DeliveryId(row["id"]),
        webhook_id=WebhookId(row["webhook_id"]),
        tenant_id=TenantId(row["tenant_id"]),
        event_id=EventId(row["event_id"]),
        event_type=row["event_type"],
        event_created_at=row["event_created_at"],
        data=row["data"],
        attempt=row["attempt_number"],
        claimed_at=row["leased_until"] - lease,
        leased_until=row["leased_until"],
        endpoint_url=row["endpoint_url"],
        secrets=StoredSecrets(
            WebhookId(row["webhook_id"]),
            row["secret_key"],
            row["previous_secret"],
            row["custom_headers"],
            row["client_certificate"],
            row["client_key"],
        ),
        replayed=row["replayed"],
    )


RELEASE = """
    UPDATE webhook_deliveries AS d
       SET leased_until = NULL
      FROM unnest($1::uuid[], $2::timestamptz[]) AS held (id, leased_until)
     WHERE d.id = held.id AND d.leased_until = held.leased_until
"""


async def release(db: Connection, claims: Sequence[Claim]) -> None:
    """Give back what was claimed and not made: it is due again at once, as the same attempt."""
    await db.execute(RELEASE, [c.delivery_id for c in claims], [c.leased_until for c in claims])


PROLONG = """
    WITH held AS MATERIALIZED (
        SELECT d.id
          FROM unnest($1::uuid[], $2::timestamptz[]) AS held (id, leased_until)
          JOIN webhook_deliveries AS d ON d.id = held.id AND d.leased_until = held.leased_until
           FOR UPDATE OF d SKIP LOCKED
    )
    UPDATE webhook_deliveries AS d
       SET leased_until = now() + $3::interval
      FROM held
     WHERE d.id = held.id
 RETURNING d.id, d.leased_until
"""


async def prolong(
    db: Connection, claims: Sequence[Claim], *, lease: timedelta
) -> dict[DeliveryId, datetime]:
    """Hold on to attempts whose results cannot be stored yet; the new leases, where we could."""
    rows = await db.fetch(
        PROLONG, [c.delivery_id for c in claims], [c.leased_until for c in claims], lease
    )
    return {DeliveryId(row["id"]): row["leased_until"] for row in rows}


@dataclass(frozen=True, slots=True)
class Settlement:
    """
    What one attempt came to, ready to be stored.

    `next_id` and `retry_in` are set together when another attempt follows; `response_headers` and
    `trace` are JSON text. Times are the database's: the wait counts from the settling transaction.
    """

    claim: Claim
    status: str
    signature: str | None
    status_code: int | None
    response_headers: str | None
    response_body: str | None
    error: str | None
    took_ms: int
    retry_in: timedelta | None
    next_id: DeliveryId | None
    trace: str | None


SETTLE = """
    WITH result AS MATERIALIZED (
        SELECT *
          FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::int[],
                      $6::text[], $7::text[], $8::text[], $9::int[], $10::timestamptz[],
                      $11::interval[], $12::uuid[], $13::timestamptz[], $14::text[], $15::uuid[])
               AS r (id, leased_until, status, signature, status_code, response_headers,
                     response_body, error_message, duration_ms, event_created_at,
                     retry_in, next_id, attempted_at, trace, tenant_id)
    ), mine AS MATERIALIZED (
        -- Somebody's open transaction on one row must not hold up all the others.
        SELECT r.*
          FROM result AS r
          JOIN webhook_deliveries AS d ON d.id = r.id AND d.leased_until = r.leased_until
           FOR UPDATE OF d SKIP LOCKED
    ), settled AS (
        UPDATE webhook_deliveries AS d
           SET status = r.status, signature = r.signature, status_code = r.status_code,
               response_headers = r.response_headers::jsonb, response_body = r.response_body,
               error_message = r.error_message, duration_ms = r.duration_ms,
               attempted_at = r.attempted_at, trace = r.trace::json,
               event_created_at = r.event_created_at,
               next_retry_at = NULL, leased_until = NULL,
               -- What the application inserted without is kept as it was sent: the event may go.
               payload = CASE WHEN d.payload IS NOT NULL THEN d.payload
                              ELSE (SELECT e.event_data FROM webhook_events AS e
                                     WHERE e.id = d.event_id AND e.tenant_id = r.tenant_id) END
          FROM mine AS r
         WHERE d.id = r.id
     RETURNING d.id, d.webhook_id, d.event_id, d.event_type, d.payload, d.attempt_number,
               r.event_created_at, r.next_id, clock_timestamp() + r.retry_in AS next_at
    ), next_attempt AS (
        INSERT INTO webhook_deliveries
               (id, webhook_id, event_id, event_type, payload, event_created_at,
                attempt_number, next_retry_at)
        SELECT next_id, webhook_id, event_id, event_type, payload, event_created_at,
               attempt_number + 1, next_at
          FROM settled
         WHERE next_id IS NOT NULL
    )
    SELECT id, next_at FROM settled
"""


async def settle(
    db: Connection, settlements: Sequence[Settlement]
) -> dict[DeliveryId, datetime | None]:
    """
    Store what came of the attempts and make the next ones, in one statement.

    Returns, for those that were still held under their lease, when the next attempt is due. What
    is missing was taken over by somebody else after our lease lapsed, or its webhook is gone, or
    its row is locked: `still_leased` tells.
    """
    rows = await db.fetch(
        SETTLE,
        [s.claim.delivery_id for s in settlements],
        [s.claim.leased_until for s in settlements],
        [s.status for s in settlements],
        [s.signature for s in settlements],
        [s.status_code for s in settlements],
        [s.response_headers for s in settlements],
        [s.response_body for s in settlements],
        [s.error for s in settlements],
        [s.took_ms for s in settlements],
        [s.claim.event_created_at for s in settlements],
        [s.retry_in for s in settlements],
        [s.next_id for s in settlements],
        [s.claim.claimed_at for s in settlements],
        [s.trace for s in settlements],
        [s.claim.tenant_id for s in settlements],
    )
    return {DeliveryId(row["id"]): row["next_at"] for row in rows}


STILL_LEASED = """
    SELECT d.id
      FROM unnest($1::uuid[], $2::timestamptz[]) AS held (id, leased_until)
      JOIN webhook_deliveries AS d ON d.id = held.id AND d.leased_until = held.leased_until
"""


async def still_leased(db: Connection, claims: Sequence[Claim]) -> set[DeliveryId]:
    """Those that bear their lease although they were not settled: somebody holds their rows."""
    if not claims:
        return set()
    rows = await db.fetch(
        STILL_LEASED, [c.delivery_id for c in claims], [c.leased_until for c in claims]
    )
    return {DeliveryId(row["id"]) for row in rows}


SWEEP = """
    -- A loose scan: one probe for each endpoint that has anything pending, whatever its backlog.
    WITH RECURSIVE endpoint (id) AS (
        (SELECT webhook_id FROM webhook_deliveries WHERE status = 'pending_retry'
          ORDER BY webhook_id LIMIT 1)
        UNION ALL
        SELECT (SELECT d.webhook_id FROM webhook_deliveries AS d
                 WHERE d.status = 'pending_retry' AND d.webhook_id > endpoint.id
                 ORDER BY d.webhook_id LIMIT 1)
          FROM endpoint WHERE endpoint.id IS NOT NULL
    )
    SELECT w.id, w.consecutive_failures, first.next_retry_at AS at,
           extract(epoch FROM first.next_retry_at - now())::float8 AS due_in
      FROM endpoint
      JOIN webhooks AS w ON w.id = endpoint.id AND w.is_active
      CROSS JOIN LATERAL (
            SELECT next_retry_at
              FROM webhook_deliveries
             WHERE webhook_id = w.id AND status = 'pending_retry'
               AND (leased_until IS NULL OR leased_until < now())
             ORDER BY next_retry_at
             LIMIT 1) AS first
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An active endpoint that has something pending which nobody holds."""

    webhook_id: WebhookId
    consecutive_failures: int
    upcoming: Upcoming


async def sweep(db: Connection) -> list[Waiting]:
    """The truth about every lane, whoever made it: what wake-ups told, and what they missed."""
    return [
        Waiting(
            WebhookId(row["id"]),
            row["consecutive_failures"],
            Upcoming(row["at"], row["due_in"]),
        )
        for row in await db.fetch(SWEEP)
        if row["at"] is not None
    ]
