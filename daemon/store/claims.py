"""
Claims: due attempts of the lanes whose turn it is, leased in one statement.

A lease is a time in the row, never a transaction held across HTTP. It does not touch
`next_retry_at`, nor any index. It lapses by itself when its holder dies. And it is the fence: a
result is stored only while the row still has the very lease that its claim was given.
`claim_leases` prolongs leases and gives them back.

For an endpoint that is failing one attempt at a time is claimed, by the daemon that locks its row
first; `next_probe_at` is moved to the end of the lease, so that it lapses together with it. Of a
webhook with a limit as many are claimed as `store.pacing` allows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from daemon.core.model.attempts import Claim
from daemon.core.model.delivery_options import AttemptOptions
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.core.policy.delivery_options import attempt_options
from daemon.core.scheduling.lanes import LaneTurn
from daemon.core.scheduling.leases import lease_of
from daemon.store import pacing
from daemon.store.attempt_chains import SAME_PENDING
from daemon.store.columns import columns
from daemon.store.delivery_options import delivery_options, options, row_lease
from daemon.store.holds import may_be_sent
from daemon.store.lanes import Upcoming, seconds_until
from daemon.store.measuring import beginning, seconds_since
from daemon.store.payload_size import FETCHED_AT_ONCE, quick_bytes
from daemon.store.retries import MAX_REQUESTED
from daemon.store.secrets import stored_secrets
from daemon.store.session import Connection
from daemon.store.webhook_columns import url_and_credentials
from daemon.store.webhook_rows import webhook


@dataclass(slots=True)
class LaneClaims:
    """
    The claims of one lane's turn, and the latest due time among them.

    `upcoming` is the earliest attempt that is not due yet; None if there is none. While the
    endpoint is failing, it may be due, what a person asked for is claimed out of order, and
    `spaced_for` is in how many seconds the next attempt may begin; otherwise that is None. A limit
    of the webhook has the same effect; `limit_state` is one of those in `store.pacing`, None if it
    does not matter. `seconds` is how long this lane alone took in the database.
    """

    upcoming: Upcoming | None
    spaced_for: float | None
    limit_state: str | None
    options: AttemptOptions
    lease: timedelta
    seconds: float
    claims: list[Claim] = field(default_factory=list)
    last_due: datetime | None = None

    @property
    def full(self) -> bool:
        """Whether the webhook has as many attempts in flight as it may."""
        return self.limit_state == pacing.FULL


# While something else holds the endpoint's row or its due rows, it is looked at this often.
BLOCKED_PROBE_SECONDS = 0.25

# Columns that the claims of a lane share.
OF_LANE = """lane.id, lane.tenant_id, lane.endpoint_url, lane.secret_key, lane.previous_secret_key,
               lane.custom_headers, lane.client_certificate, lane.client_key, lane.failing_since,
               lane.lease"""

LEASE_DUE = f"""
    -- MATERIALIZED fixes the rows first; a bare sub-select may run twice and lease too many.
    WITH lane AS MATERIALIZED (
        SELECT w.id, least(turn.max_claims, paced.allowed) AS max_claims,
               coalesce(turn.since, '-infinity') AS since,
               w.tenant_id, w.secret_key, {url_and_credentials("w")}, {options("w")},
               {row_lease("w", "$4")} AS lease,
               CASE WHEN w.previous_secret_expires_at > now() THEN w.previous_secret_key END
                   AS previous_secret_key,
               CASE WHEN w.is_failing THEN w.failing_since END AS failing_since,
               CASE WHEN w.is_failing THEN w.next_probe_at END AS next_probe_at,
               probe.is_due AS probe_due, probe.requested,
               paced.allowed, paced.per_second, paced.in_flight AS most_in_flight, paced.running,
               paced.known, paced.mine, paced.next_at, paced.continues,
               {seconds_since("began.at")} AS seconds
          FROM unnest($1::uuid[], $2::int[], $3::timestamptz[])
               AS turn (webhook_id, max_claims, since)
         CROSS JOIN LATERAL ({beginning("turn.webhook_id")}) AS began
         CROSS JOIN LATERAL ({webhook("began.id")}) AS w
          -- Only rows of failing endpoints are locked. Of two daemons one skips the row, or finds
          -- `next_probe_at` moved.
          LEFT JOIN LATERAL (
                SELECT f.next_probe_at <= now() AS is_due,
                       -- More than the daemon adds are not read, and removed.
                       CASE WHEN f.requested_attempts IS NULL THEN NULL
                            WHEN pg_catalog.pg_column_size(f.requested_attempts) > 4096
                                 OR pg_catalog.cardinality(f.requested_attempts) > {MAX_REQUESTED}
                                 OR pg_catalog.array_ndims(f.requested_attempts) > 1
                            THEN ARRAY[]::uuid[]
                            ELSE f.requested_attempts END AS requested
                  FROM webhooks AS f
                 WHERE f.id = w.id AND w.is_failing AND w.next_probe_at IS NOT NULL
                   AND (f.next_probe_at <= now() OR f.requested_attempts IS NOT NULL)
                   FOR NO KEY UPDATE SKIP LOCKED) AS probe ON true
          LEFT JOIN LATERAL ({pacing.LIMITS}) AS paced ON true
         WHERE w.is_active AND {may_be_sent("w", "$8")}
    ), asked AS MATERIALIZED (
        -- Found by their keys alone: a planner without statistics might read all of the endpoint's
        -- attempts instead.
        SELECT lane.id AS lane_id, d.id, d.webhook_id, d.next_retry_at, d.leased_until
          FROM lane
          CROSS JOIN LATERAL pg_catalog.unnest(lane.requested[:lane.max_claims]) AS wanted (id)
          JOIN webhook_deliveries AS d ON {SAME_PENDING.format(row="d", id="wanted.id")}
           FOR UPDATE OF d SKIP LOCKED
    ), searched AS MATERIALIZED (
        SELECT lane.*, found.ids, lane.seconds + {seconds_since("began.at")} AS until_found
          FROM lane
         CROSS JOIN LATERAL ({beginning("lane.id")}) AS began
         CROSS JOIN LATERAL (
                SELECT pg_catalog.array_agg(d.id) AS ids
                  FROM (SELECT id
                          FROM webhook_deliveries
                         WHERE webhook_id = began.id AND status::text = 'pending_retry'
                           AND next_retry_at >= lane.since AND next_retry_at <= now()
                           AND (leased_until IS NULL OR leased_until < now())
                         ORDER BY next_retry_at
                         LIMIT CASE WHEN lane.next_probe_at IS NULL THEN lane.max_claims
                                    WHEN lane.probe_due AND lane.requested IS NULL
                                    THEN least(1, lane.max_claims)
                                    ELSE 0 END
                           FOR UPDATE SKIP LOCKED) AS d) AS found
    ), due AS MATERIALIZED (
        SELECT {OF_LANE}, d.id AS delivery_id
          FROM searched AS lane CROSS JOIN LATERAL pg_catalog.unnest(lane.ids) AS d (id)
        UNION ALL
        SELECT {OF_LANE}, asked.id
          FROM lane
          JOIN asked ON asked.lane_id = lane.id AND asked.webhook_id = lane.id
         WHERE asked.next_retry_at <= now()
           AND (asked.leased_until IS NULL OR asked.leased_until < now())
    ), probing AS (
        UPDATE webhooks AS w
           SET next_probe_at = CASE WHEN lane.begins THEN now() + lane.lease
                                    ELSE w.next_probe_at END,
               requested_attempts = CASE WHEN pg_catalog.cardinality(lane.requested)
                                              > lane.max_claims
                                         THEN lane.requested[lane.max_claims + 1:] END
          FROM (SELECT id, max_claims, requested, lease,
                       probe_due AND EXISTS (SELECT FROM due WHERE due.id = lane.id) AS begins
                  FROM lane
                 WHERE probe_due IS NOT NULL) AS lane
         WHERE w.id >= lane.id AND w.id <= lane.id
           AND (lane.begins OR lane.requested IS NOT NULL AND lane.max_claims > 0)
    ), spent AS MATERIALIZED ({pacing.SPENT}
    ), taking AS ({pacing.TAKE}
    ), leased AS (
        UPDATE webhook_deliveries AS d
           SET leased_until = now() + due.lease
          FROM due
         WHERE {SAME_PENDING.format(row="d", id="due.delivery_id")}
           AND d.webhook_id IS NOT DISTINCT FROM due.id
     RETURNING d.*, due.tenant_id, due.endpoint_url, due.secret_key, due.previous_secret_key,
               due.custom_headers, due.client_certificate, due.client_key, due.failing_since
    ), found AS MATERIALIZED (
        SELECT d.*, e.created_at,
               -- A row that the application inserted knows its event by id alone, if there is one.
               CASE WHEN d.payload IS NULL THEN e.event_data ELSE d.payload END AS data
          FROM leased AS d
          LEFT JOIN LATERAL (
                SELECT event_data, created_at
                  FROM webhook_events
                 WHERE (d.event_created_at IS NULL OR d.payload IS NULL)
                   AND id = d.event_id AND tenant_id = d.tenant_id
                 LIMIT 1) AS e ON true
    ), measured AS MATERIALIZED (
        SELECT d.id, d.webhook_id, d.tenant_id, d.endpoint_url, d.secret_key,
               d.previous_secret_key, d.custom_headers, d.client_certificate, d.client_key,
               d.event_id, d.event_type, d.attempt_number, d.chain_start, d.next_retry_at,
               d.leased_until, d.event_created_at, d.created_at, d.attempted_at, d.replay_id,
               d.failing_since, d.data,
               -- An event may have changed since its size was noted: that counts here only if
               -- it keeps the data from being printed.
               CASE WHEN d.payload IS NOT NULL AND d.payload_bytes IS NOT NULL
                         OR d.payload_bytes > $5
                    THEN d.payload_bytes
                    ELSE {quick_bytes("d.data", "$6")} END AS payload_bytes
          FROM found AS d
    )
    SELECT d.webhook_id, d.id, d.tenant_id, d.endpoint_url, d.secret_key, d.previous_secret_key,
           d.custom_headers, d.client_certificate, d.client_key, d.failing_since,
           d.event_id, coalesce(d.event_type, '') AS event_type, d.attempt_number,
           coalesce(d.chain_start, 1) AS chain_start, d.next_retry_at, d.leased_until,
           d.payload_bytes, CASE WHEN d.payload_bytes <= $5 THEN d.data END AS data,
           coalesce(d.event_created_at,
                    CASE WHEN d.created_at BETWEEN '0001-01-02' AND '9999-12-30'
                         THEN d.created_at END,
                    d.attempted_at, now()) AS event_created_at,
           d.replay_id IS NOT NULL AS replayed,
           -- When the row was inserted: the application says what it likes in its own.
           CASE WHEN d.event_created_at IS NOT NULL AND d.replay_id IS NULL
                THEN d.attempted_at END AS inserted_at,
           NULL::float8 AS due_in, NULL::float8 AS spaced_for, NULL::float8 AS paced_for,
           NULL::text AS limit_state, NULL::text[] AS options, NULL::float8 AS seconds
      FROM measured AS d
    UNION ALL
    -- And one row for each lane, with the attempt that may begin there next.
    SELECT lane.id, NULL, NULL, NULL, NULL, NULL,
           NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
           upcoming.next_retry_at, NULL,
           NULL, NULL, NULL, NULL, NULL, {seconds_until("upcoming.next_retry_at")},
           CASE WHEN lane.next_probe_at IS NULL THEN NULL
                WHEN pg_catalog.cardinality(lane.requested) > lane.max_claims THEN 0
                WHEN lane.probe_due AND EXISTS (SELECT FROM due WHERE due.id = lane.id)
                THEN extract(epoch FROM lane.lease)::float8
                ELSE greatest({seconds_until("lane.next_probe_at")}, $7::float8)
                END,
           CASE WHEN lane.allowed IS NOT NULL THEN {pacing.WAIT} END,
           CASE WHEN lane.allowed IS NOT NULL THEN {pacing.STATE} END, lane.options,
           lane.until_found + {seconds_since("began.at")}
      FROM searched AS lane
      LEFT JOIN spent ON spent.id = lane.id
     CROSS JOIN LATERAL ({beginning("lane.id")}) AS began
      LEFT JOIN LATERAL (
            SELECT next_retry_at
              FROM webhook_deliveries
             WHERE webhook_id = began.id AND status::text = 'pending_retry'
               AND next_retry_at >= CASE WHEN lane.next_probe_at IS NOT NULL
                                              OR coalesce(spent.count, 0) >= lane.max_claims
                                                 AND lane.allowed IS NOT NULL
                                         THEN lane.since ELSE now() END
               AND (leased_until IS NULL OR leased_until < now())
             ORDER BY next_retry_at
             LIMIT 1) AS upcoming ON true
"""  # noqa: S608  made of constants only


async def claim(
    db: Connection,
    turns: Sequence[LaneTurn],
    *,
    lease: timedelta,
    most_bytes: int,
    installation: str | None = None,
) -> dict[WebhookId, LaneClaims]:
    """
    Lease the due attempts of these turns; webhooks that are paused, held or gone are missing.

    Each claim has its webhook's present URL and secrets: a change takes effect with the next claim.
    Data are measured up to `most_bytes`, if that is quick, and fetched if they are small. `lease`
    is that of attempts with the usual timeout; one that may take longer is leased for longer. In a
    database of another `installation` there is nothing to claim.
    """
    turn_columns = columns([(turn.webhook_id, turn.limit, turn.since) for turn in turns])
    rows = await db.fetch(
        LEASE_DUE,
        *(*turn_columns, lease, FETCHED_AT_ONCE, most_bytes, BLOCKED_PROBE_SECONDS, installation),
    )
    lanes = {WebhookId(row["webhook_id"]): _lane(row, lease) for row in rows if row["id"] is None}
    for row in rows:
        if row["id"] is not None:
            lane = lanes[row["webhook_id"]]
            lane.claims.append(_claim(row, lane))
            due = row["next_retry_at"]
            lane.last_due = due if lane.last_due is None else max(lane.last_due, due)
    return lanes


def _lane(row: Any, lease: timedelta) -> LaneClaims:
    at = row["next_retry_at"]
    options = attempt_options(delivery_options(row["options"]))
    timeout = options.timeout_seconds
    waits = [each for each in (row["spaced_for"], row["paced_for"]) if each is not None]
    return LaneClaims(
        upcoming=None if at is None else Upcoming(at, row["due_in"]),
        spaced_for=max(waits, default=None),
        limit_state=row["limit_state"],
        options=options,
        lease=lease if timeout is None else max(lease, lease_of(timedelta(seconds=timeout))),
        seconds=row["seconds"],
    )


def _claim(row: Any, lane: LaneClaims) -> Claim:
    return Claim(
        delivery_id=DeliveryId(row["id"]),
        webhook_id=WebhookId(row["webhook_id"]),
        tenant_id=TenantId(row["tenant_id"]),
        event_id=EventId(row["event_id"]),
        event_type=row["event_type"],
        event_created_at=row["event_created_at"],
        data=row["data"],
        attempt=row["attempt_number"],
        claimed_at=row["leased_until"] - lane.lease,
        leased_until=row["leased_until"],
        endpoint_url=row["endpoint_url"],
        secrets=stored_secrets(WebhookId(row["webhook_id"]), row),
        replayed=row["replayed"],
        payload_bytes=row["payload_bytes"],
        fetched=row["payload_bytes"] is not None and row["payload_bytes"] <= FETCHED_AT_ONCE,
        failing_since=row["failing_since"],
        chain_start=row["chain_start"],
        waiting_since=row["inserted_at"],
        options=lane.options,
    )
