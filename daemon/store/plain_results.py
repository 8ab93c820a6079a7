"""
A few first attempts that succeeded, each the only one of its event, stored by one statement.

At low rates most results come like that, and a transaction of seven statements costs more than the
request itself. What the statement does not store is left to the usual transaction.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

from daemon.core.model.attempts import AttemptResult
from daemon.core.model.ids import DeliveryId, WebhookId
from daemon.core.outcomes.durations import duration_bucket
from daemon.store.attempt_chains import PENDING
from daemon.store.columns import columns
from daemon.store.endpoint_health import RESUMED
from daemon.store.leased_events import LeasedEvent
from daemon.store.results import stored_response
from daemon.store.session import LOCK_TIMEOUT, Connection

EVERY_WEBHOOK = UUID(int=0)

STORE_PLAIN = f"""
    WITH durable AS MATERIALIZED (
        SELECT pg_catalog.set_config('synchronous_commit', 'on', true) AS setting,
               -- An open transaction may have a row with the id of a result.
               pg_catalog.set_config('lock_timeout', $21, true) AS lock_timeout
    ), result AS MATERIALIZED (
        SELECT *
          FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::tid[], $6::text[],
                      $7::text[], $8::bigint[], $9::timestamptz[], $10::timestamptz[],
                      $11::text[], $12::int[], $13::text[], $14::text[], $15::int[], $16::text[],
                      $17::int[], $22::uuid[])
               AS r (id, webhook_id, event_id, only_webhook, place, event_type, payload,
                     payload_bytes, event_created_at, attempted_at, signature, status_code,
                     response_headers, response_body, duration_ms, trace, duration_bucket,
                     tenant_id)
         -- Such an attempt is removed with the success: by the usual transaction.
         WHERE (SELECT true
                  FROM webhook_deliveries AS other
                 -- A range of keys, as in `store.attempt_chains`.
                 WHERE (other.event_id, other.webhook_id) >= (r.event_id, r.webhook_id)
                   AND (other.event_id, other.webhook_id) <= (r.event_id, r.webhook_id)
                   AND {PENDING.format(row="other.")}
                 LIMIT 1) IS NULL
    ), webhook AS MATERIALIZED (
        -- As in SHARE_HEALTH; the health of these does not change by a success.
        SELECT id, tenant_id
          FROM webhooks
         WHERE id = ANY ($2::uuid[]) AND NOT is_failing AND consecutive_failures = 0
           AND NOT {RESUMED}
         ORDER BY id
           FOR KEY SHARE SKIP LOCKED
    ), storable AS MATERIALIZED (
        -- The id may be another tenant's by now: its webhook gets nothing of the former one's.
        SELECT result.place, webhook.id
          FROM result JOIN webhook ON webhook.id = result.webhook_id
                                  AND webhook.tenant_id = result.tenant_id
    ), held AS MATERIALIZED (
        SELECT ctid AS row
          FROM webhook_event_inbox
         WHERE ctid = ANY (ARRAY(SELECT place FROM storable))
           -- Where a row was erased meanwhile, its place may have another event's.
           AND event_id = ANY ($3::uuid[])
           AND leased_until = ANY ($18::timestamptz[]) AND leased_by = $19
           FOR UPDATE SKIP LOCKED
    ), ended AS (
        DELETE FROM webhook_event_inbox
         WHERE ctid = ANY (ARRAY(SELECT row FROM held))
     RETURNING event_id, webhook_id AS only_webhook
    ), succeeded AS (
        -- As in NOTE_SUCCESS.
        UPDATE webhooks
           SET last_success_at = now()
         WHERE id = ANY (ARRAY(SELECT id
                                 FROM webhooks
                                WHERE id = ANY (ARRAY(SELECT id FROM storable))
                                  AND id = ANY ($20::uuid[])
                                ORDER BY id
                                  FOR NO KEY UPDATE SKIP LOCKED))
     RETURNING id
    ), stored AS MATERIALIZED (
        SELECT r.*
          FROM durable
         CROSS JOIN ended
          JOIN result AS r ON r.event_id = ended.event_id AND r.only_webhook = ended.only_webhook
    ), counted AS (
        -- As in `stats_batches`: these are successes, of kind 0.
        INSERT INTO webhook_stats_batches (minute, webhook_ids, ended, counts)
        SELECT minute, pg_catalog.array_agg(webhook_id), pg_catalog.array_agg(duration_bucket),
               pg_catalog.array_agg(1)
          FROM (SELECT date_trunc('minute'::text, attempted_at) AS minute, webhook_id,
                       duration_bucket
                  FROM stored) AS each
         GROUP BY minute
    )
    INSERT INTO webhook_deliveries
           (id, webhook_id, event_id, event_type, payload, payload_bytes, event_created_at,
            attempt_number, status, next_retry_at, attempted_at, signature, status_code,
            response_headers, response_body, duration_ms, trace, too_large)
    SELECT r.id, r.webhook_id, r.event_id, r.event_type, r.payload::jsonb, r.payload_bytes,
           r.event_created_at, 1, 'success', NULL, r.attempted_at, r.signature, r.status_code,
           r.response_headers::jsonb, r.response_body, r.duration_ms, r.trace::json, false
      FROM stored AS r
 RETURNING id, webhook_id = ANY (ARRAY(SELECT id FROM succeeded)) AS success_is_written
"""  # noqa: S608  made of constants only


async def store_plain(
    db: Connection,
    results: Sequence[tuple[AttemptResult, LeasedEvent]],
    *,
    daemon_key: int,
    succeeded: Collection[WebhookId],
) -> dict[DeliveryId, bool]:
    """
    Insert the rows of these results and remove their events from the inbox; it is durable.

    Returns which were stored, and whether `last_success_at` was set: that of the `succeeded`
    webhooks is, unless they are locked. Not stored are those of events that are locked or whose
    lease is lost, of webhooks that are locked, gone, or have failed or been paused since their last
    success, and those beside which another attempt is pending. Raises LockNotAvailableError where
    another transaction has a row with the id of a result.
    """
    rows = await db.fetch(
        STORE_PLAIN,
        *columns([_row(result, leased) for result, leased in results]),
        list({leased.leased_until for _, leased in results}),
        daemon_key,
        succeeded,
        LOCK_TIMEOUT,
        [leased.event.tenant_id for _, leased in results],
    )
    return {DeliveryId(row["id"]): row["success_is_written"] for row in rows}


def _row(result: AttemptResult, leased: LeasedEvent) -> tuple[object, ...]:
    """The columns of `r` in STORE_PLAIN, in its order."""
    claim, outcome = result.claim, result.outcome
    headers, body, trace = stored_response(result, row_id=claim.delivery_id)
    return (
        *(claim.delivery_id, claim.webhook_id, claim.event_id),
        *(leased.event.only or EVERY_WEBHOOK, leased.row, claim.event_type),
        *(claim.data, claim.payload_bytes, claim.event_created_at, claim.claimed_at),
        *(result.signature, result.verdict.status, headers, body, outcome.took_ms, trace),
        duration_bucket(outcome.took_ms),
    )
