"""Leases on due attempts: taken, prolonged, given back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from daemon.core.model.attempts import Claim
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.core.model.secrets import StoredSecrets
from daemon.core.scheduling.lanes import LaneTurn
from daemon.store.columns import columns
from daemon.store.lanes import Upcoming
from daemon.store.session import Connection


@dataclass(slots=True)
class LaneClaims:
    """What one turn brought: `last_due` is the latest due time among the claims."""

    claims: list[Claim]
    last_due: datetime | None
    upcoming: Upcoming | None


CLAIM = """
    -- MATERIALIZED fixes the rows first; a bare sub-select may run twice and lease too many.
    WITH lane AS MATERIALIZED (
        SELECT w.id, turn.max_claims, coalesce(turn.since, '-infinity') AS since,
               w.tenant_id, w.endpoint_url, w.secret_key, w.custom_headers,
               w.client_certificate, w.client_key,
               CASE WHEN w.previous_secret_expires_at > now() THEN w.previous_secret_key END
                   AS previous_secret
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
    db: Connection, turns: Sequence[LaneTurn], *, lease: timedelta
) -> dict[WebhookId, LaneClaims]:
    """
    Lease what is due; a webhook that is paused or gone is not in the answer.

    URL and secrets come with every claim, so what a person changed is in force with the next.
    """
    asked = columns([(turn.webhook_id, turn.limit, turn.since) for turn in turns])
    rows = await db.fetch(CLAIM, *asked, lease)
    catches = {row["webhook_id"]: _catch_of(row) for row in rows if row["id"] is None}
    for row in rows:
        if row["id"] is not None:
            catch = catches[row["webhook_id"]]
            catch.claims.append(_claim_of(row, lease))
            due = row["next_retry_at"]
            catch.last_due = due if catch.last_due is None else max(catch.last_due, due)
    return catches


def _catch_of(row: Any) -> LaneClaims:
    at = row["next_retry_at"]
    return LaneClaims([], None, None if at is None else Upcoming(at, row["due_in"]))


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
    await db.execute(RELEASE, *_leases(claims))


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
    rows = await db.fetch(PROLONG, *_leases(claims), lease)
    return {DeliveryId(row["id"]): row["leased_until"] for row in rows}


STILL_LEASED = """
    SELECT d.id
      FROM unnest($1::uuid[], $2::timestamptz[]) AS held (id, leased_until)
      JOIN webhook_deliveries AS d ON d.id = held.id AND d.leased_until = held.leased_until
"""


async def still_leased(db: Connection, claims: Sequence[Claim]) -> set[DeliveryId]:
    """Those that bear their lease although they were not settled: somebody holds their rows."""
    if not claims:
        return set()
    rows = await db.fetch(STILL_LEASED, *_leases(claims))
    return {DeliveryId(row["id"]) for row in rows}


def _leases(claims: Sequence[Claim]) -> list[tuple[object, ...]]:
    """The columns of `held` in the statements above."""
    return columns([(claim.delivery_id, claim.leased_until) for claim in claims])
