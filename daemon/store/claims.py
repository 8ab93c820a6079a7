"""
Leases on due attempts: taken, prolonged, given back.

A lease is a time in the row, never a transaction held across HTTP. It does not touch
`next_retry_at`, nor any index. It lapses by itself when its holder dies. And it is the fence: a
result is stored only while the row still has the very lease that its claim was given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from daemon.core.model.attempts import Claim
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.core.scheduling.lanes import LaneTurn
from daemon.store.columns import columns
from daemon.store.lanes import Upcoming
from daemon.store.payload_size import FETCHED_AT_ONCE, quick_bytes
from daemon.store.secrets import stored_secrets
from daemon.store.session import Connection


@dataclass(slots=True)
class LaneClaims:
    """
    The claims of one lane's turn, and the latest due time among them.

    `upcoming` is the earliest attempt that is not due yet; None if there is none.
    """

    claims: list[Claim]
    last_due: datetime | None
    upcoming: Upcoming | None


LEASE_DUE = f"""
    -- MATERIALIZED fixes the rows first; a bare sub-select may run twice and lease too many.
    WITH lane AS MATERIALIZED (
        SELECT w.id, turn.max_claims, coalesce(turn.since, '-infinity') AS since,
               w.tenant_id, w.endpoint_url, w.secret_key, w.custom_headers,
               w.client_certificate, w.client_key,
               CASE WHEN w.previous_secret_expires_at > now() THEN w.previous_secret_key END
                   AS previous_secret_key
          FROM unnest($1::uuid[], $2::int[], $3::timestamptz[])
               AS turn (webhook_id, max_claims, since)
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
                 LIMIT lane.max_claims
                   FOR UPDATE SKIP LOCKED) AS d
    ), leased AS (
        UPDATE webhook_deliveries AS d
           SET leased_until = now() + $4
          FROM due
         WHERE d.id = due.delivery_id
     RETURNING d.*, due.tenant_id, due.endpoint_url, due.secret_key, due.previous_secret_key,
               due.custom_headers, due.client_certificate, due.client_key
    ), found AS MATERIALIZED (
        SELECT d.*, e.created_at,
               -- A row that the application inserted knows its event by id alone, if there is one.
               CASE WHEN d.payload IS NULL THEN e.event_data ELSE d.payload END AS data
          FROM leased AS d
          LEFT JOIN LATERAL (
                SELECT event_data, created_at
                  FROM webhook_events
                 WHERE (d.event_created_at IS NULL OR d.payload IS NULL)
                   AND id = d.event_id AND tenant_id = d.tenant_id) AS e
                 ON true
    ), measured AS MATERIALIZED (
        SELECT d.id, d.webhook_id, d.tenant_id, d.endpoint_url, d.secret_key,
               d.previous_secret_key, d.custom_headers, d.client_certificate, d.client_key,
               d.event_id, d.event_type, d.attempt_number, d.next_retry_at, d.leased_until,
               d.event_created_at, d.created_at, d.attempted_at, d.replay_id, d.data,
               CASE WHEN d.payload_bytes IS NOT NULL THEN d.payload_bytes
                    ELSE {quick_bytes("d.data", "$6")} END AS payload_bytes
          FROM found AS d
    )
    SELECT d.webhook_id, d.id, d.tenant_id, d.endpoint_url, d.secret_key, d.previous_secret_key,
           d.custom_headers, d.client_certificate, d.client_key,
           d.event_id, coalesce(d.event_type, '') AS event_type, d.attempt_number,
           d.next_retry_at, d.leased_until,
           d.payload_bytes, CASE WHEN d.payload_bytes <= $5 THEN d.data END AS data,
           coalesce(d.event_created_at,
                    CASE WHEN d.created_at BETWEEN '0001-01-02' AND '9999-12-30'
                         THEN d.created_at END,
                    d.attempted_at, now()) AS event_created_at,
           d.replay_id IS NOT NULL AS replayed,
           NULL::float8 AS due_in
      FROM measured AS d
    UNION ALL
    -- And one row for each lane, with the attempt that is due there next.
    SELECT lane.id, NULL, NULL, NULL, NULL, NULL,
           NULL, NULL, NULL,
           NULL, NULL, NULL,
           upcoming.next_retry_at, NULL,
           NULL, NULL, NULL, NULL, extract(epoch FROM upcoming.next_retry_at - now())::float8
      FROM lane
      LEFT JOIN LATERAL (
            SELECT next_retry_at
              FROM webhook_deliveries
             WHERE webhook_id = lane.id AND status = 'pending_retry' AND next_retry_at > now()
             ORDER BY next_retry_at
             LIMIT 1) AS upcoming ON true
"""  # noqa: S608  made of constants only


async def claim(
    db: Connection, turns: Sequence[LaneTurn], *, lease: timedelta, most_bytes: int
) -> dict[WebhookId, LaneClaims]:
    """
    Lease the due attempts of these turns; webhooks that are paused or gone are missing.

    Each claim has its webhook's present URL and secrets: a change takes effect with the next claim.
    Data are measured up to `most_bytes`, if that is quick, and fetched if they are small.
    """
    turn_columns = columns([(turn.webhook_id, turn.limit, turn.since) for turn in turns])
    rows = await db.fetch(LEASE_DUE, *turn_columns, lease, FETCHED_AT_ONCE, most_bytes)
    lanes = {WebhookId(row["webhook_id"]): _lane(row) for row in rows if row["id"] is None}
    for row in rows:
        if row["id"] is not None:
            lane = lanes[row["webhook_id"]]
            lane.claims.append(_claim(row, lease))
            due = row["next_retry_at"]
            lane.last_due = due if lane.last_due is None else max(lane.last_due, due)
    return lanes


def _lane(row: Any) -> LaneClaims:
    at = row["next_retry_at"]
    return LaneClaims([], None, None if at is None else Upcoming(at, row["due_in"]))


def _claim(row: Any, lease: timedelta) -> Claim:
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
        secrets=stored_secrets(WebhookId(row["webhook_id"]), row),
        replayed=row["replayed"],
        payload_bytes=row["payload_bytes"],
        fetched=row["payload_bytes"] is not None and row["payload_bytes"] <= FETCHED_AT_ONCE,
    )


NOTE_SIZE = """
    UPDATE webhook_deliveries SET payload_bytes = $3 WHERE id = $1 AND leased_until = $2
"""


async def note_size(db: Connection, claim: Claim, payload_bytes: int) -> None:
    """Store the measured size of a claim's data with its row."""
    await db.execute(NOTE_SIZE, claim.delivery_id, claim.leased_until, payload_bytes)


CLEAR_LEASES = """
    UPDATE webhook_deliveries AS d
       SET leased_until = NULL
      FROM unnest($1::uuid[], $2::timestamptz[]) AS held (id, leased_until)
     WHERE d.id = held.id AND d.leased_until = held.leased_until
"""


async def release(db: Connection, claims: Sequence[Claim]) -> None:
    """Give back claims without an attempt: each is due again at once, with the same number."""
    await db.execute(CLEAR_LEASES, *_leases(claims))


PROLONG_LEASES = """
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
    """
    Prolong the leases of attempts whose results cannot be stored yet.

    Returns the new leases; missing are attempts that are locked or no longer have their lease.
    """
    rows = await db.fetch(PROLONG_LEASES, *_leases(claims), lease)
    return {DeliveryId(row["id"]): row["leased_until"] for row in rows}


FIND_LEASED = """
    SELECT d.id
      FROM unnest($1::uuid[], $2::timestamptz[]) AS held (id, leased_until)
      JOIN webhook_deliveries AS d ON d.id = held.id AND d.leased_until = held.leased_until
"""


async def still_leased(db: Connection, claims: Sequence[Claim]) -> set[DeliveryId]:
    """
    Return the claims whose rows still have their lease.

    If their results were not stored nevertheless, another transaction holds the rows.
    """
    if not claims:
        return set()
    rows = await db.fetch(FIND_LEASED, *_leases(claims))
    return {DeliveryId(row["id"]) for row in rows}


def _leases(claims: Sequence[Claim]) -> list[tuple[object, ...]]:
    """The columns of `held` in the statements above."""
    return columns([(claim.delivery_id, claim.leased_until) for claim in claims])
