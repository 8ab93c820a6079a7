"""The results of attempts, stored in batches; a result counts only while its lease still holds."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType

import orjson

from daemon.core.model.attempts import AttemptResult, Claim, ClaimKey, Response, Trace
from daemon.core.model.ids import DeliveryId
from daemon.core.wire.short_head import Known, shorten
from daemon.store.attempt_chains import CHAIN_REPLAYS, SAME_PENDING
from daemon.store.columns import columns
from daemon.store.delivery_ids import new_delivery_id
from daemon.store.session import Connection

NO_IDS: Mapping[DeliveryId, DeliveryId] = MappingProxyType({})
UNSTORABLE = "the result could not be stored as it came"

STORE_RESULTS = f"""
    WITH result AS MATERIALIZED (
        SELECT *
          FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[], $6::int[],
                      $7::text[], $8::text[], $9::text[], $10::int[], $11::timestamptz[],
                      $12::timestamptz[], $13::text[], $14::interval[], $15::uuid[], $16::bool[],
                      $17::uuid[], $18::uuid[])
               AS r (id, leased_until, tenant_id, status, signature, status_code,
                     response_headers, response_body, error_message, duration_ms, attempted_at,
                     event_created_at, trace, retry_in, next_id, too_large, row_id, of_webhook)
    ), mine AS MATERIALIZED (
        -- A row that another transaction holds must not delay all the others.
        SELECT r.*
          FROM result AS r
          JOIN webhook_deliveries AS d ON {SAME_PENDING.format(row="d", id="r.id")}
           AND d.leased_until = r.leased_until
           AND d.webhook_id IS NOT DISTINCT FROM r.of_webhook
           FOR UPDATE OF d SKIP LOCKED
    ), ended AS (
        -- Deleted and inserted, not updated: an update that moves a row to another partition is an
        -- error for everyone who waits for that row.
        DELETE FROM webhook_deliveries AS d
         USING mine AS r
         WHERE {SAME_PENDING.format(row="d", id="r.id")}
           -- Of the tables of two layouts, each may have a pending row with this id.
           AND d.webhook_id IS NOT DISTINCT FROM r.of_webhook
     RETURNING d.webhook_id, d.event_id, d.event_type, d.payload,
               -- Unknown of data that are copied from the event: it may have changed since.
               CASE WHEN d.payload IS NOT NULL OR r.too_large THEN d.payload_bytes END
                   AS payload_bytes,
               d.attempt_number, d.chain_start, {CHAIN_REPLAYS.strip()},
               d.replay_id, d.brought_forward, r.*
    ), stored AS MATERIALIZED (
        SELECT d.*, clock_timestamp() + d.retry_in AS next_at,
               -- Data that are too large to be sent would be moved for nothing, at any cost. A row
               -- that the application inserted without payload keeps the data that were sent: the
               -- event may be deleted.
               CASE WHEN d.too_large THEN NULL
                    WHEN d.payload IS NOT NULL THEN d.payload
                    ELSE (SELECT e.event_data FROM webhook_events AS e
                           WHERE e.id = d.event_id AND e.tenant_id = d.tenant_id) END AS data
          FROM ended AS d
    ), final AS (
        INSERT INTO webhook_deliveries
               (id, webhook_id, event_id, event_type, payload, payload_bytes, event_created_at,
                attempt_number, chain_start, chain_replays, replay_id, brought_forward, status,
                next_retry_at, attempted_at, signature, status_code, response_headers,
                response_body, error_message, duration_ms, trace, too_large)
        SELECT row_id, webhook_id, event_id, event_type, data, payload_bytes, event_created_at,
               attempt_number, chain_start, chain_replays, replay_id, brought_forward, status,
               NULL, attempted_at, signature, status_code, response_headers::jsonb,
               response_body, error_message, duration_ms, trace::json, too_large
          FROM stored
    ), next_attempt AS (
        INSERT INTO webhook_deliveries
               (id, webhook_id, event_id, event_type, payload, payload_bytes, event_created_at,
                attempt_number, chain_start, chain_replays, next_retry_at)
        SELECT next_id, webhook_id, event_id, event_type, data, payload_bytes, event_created_at,
               -- The application may insert any number.
               greatest(attempt_number, 0) + 1, chain_start, chain_replays, next_at
          FROM stored
         WHERE next_id IS NOT NULL
    ), counting AS MATERIALIZED (
        -- Chains that have ended, once for each replay for which they count.
        SELECT pg_catalog.unnest(chain_replays) AS replay_id, status
          FROM stored
         WHERE next_id IS NULL AND chain_replays IS NOT NULL
    ), replayed AS (
        INSERT INTO webhook_replay_results (replay_id, delivered, failed, erased)
        SELECT replay_id, count(*) FILTER (WHERE status = 'success'),
               count(*) FILTER (WHERE status = 'failed'), 0
          FROM counting
         WHERE replay_id IS NOT NULL
         GROUP BY replay_id
    )
    SELECT id, leased_until, next_at FROM stored
"""  # noqa: S608  made of constants only


async def store(
    db: Connection,
    results: Sequence[AttemptResult],
    *,
    bare: bool = False,
    renamed: Mapping[DeliveryId, DeliveryId] = NO_IDS,
) -> dict[ClaimKey, datetime | None]:
    """
    Store results and insert the next attempts, in one statement.

    Returns when the next attempt of each stored result is due; None if there is none. Of several
    results of one row, one is stored: that of the claim whose lease the row has. A result is
    missing if its lease lapsed and was taken over, if its webhook is gone, or if its row is locked:
    `claim_leases.still_leased` finds the locked ones. `bare` leaves out the receiver's response.

    Raises UniqueViolationError where a foreign row has the id in a partition of finished attempts;
    `renamed` has other ids for such results, by their own.
    """
    if not results:
        return {}
    rows = await db.fetch(
        STORE_RESULTS, *columns([_row(result, renamed, bare=bare) for result in results])
    )
    return {(DeliveryId(row["id"]), row["leased_until"]): row["next_at"] for row in rows}


FIRST_COLUMNS = (
    *("id", "webhook_id", "event_id", "event_type", "payload", "payload_bytes"),
    *("event_created_at", "attempt_number", "status", "next_retry_at", "attempted_at"),
    *("signature", "status_code", "response_headers", "response_body", "error_message"),
    *("duration_ms", "trace", "too_large"),
)
FIND_STORED = "SELECT id FROM webhook_deliveries WHERE id = ANY ($1::uuid[])"


async def insert_first(
    db: Connection, results: Sequence[AttemptResult], *, at: datetime, bare: bool = False
) -> dict[ClaimKey, datetime | None]:
    """
    Insert the rows of first attempts that had none, and the next attempts; `at` is the time now.

    Returns when the next attempt of each is due, as `store` does; a result that has its row already
    is missing. The caller has locked the webhooks and the events.
    """
    next_due: dict[ClaimKey, datetime | None] = {}
    rows: list[tuple[object, ...]] = []
    for each in results:
        rows.append(_first_row(each, bare=bare))
        wait, due = each.verdict.retry_in, None
        if wait is not None:
            due = at + wait
            rows.append(_next_row(each.claim, due, at=at))
        next_due[each.claim.key] = due
    if rows:
        # COPY costs PostgreSQL less than half of what a wide INSERT does.
        await db.copy_records_to_table("webhook_deliveries", columns=FIRST_COLUMNS, records=rows)
    return next_due


async def stored(db: Connection, ids: Sequence[DeliveryId]) -> set[DeliveryId]:
    """Return those of the deliveries that have a row."""
    return {DeliveryId(row["id"]) for row in await db.fetch(FIND_STORED, ids)}


def stored_response(
    result: AttemptResult, *, row_id: DeliveryId
) -> tuple[str | None, str | None, str | None]:
    """
    The response's headers as JSON and its body, if there is one, and the trace as JSON.

    `row_id` is the id of the result's row.
    """
    outcome = result.outcome
    trace = None if outcome.trace is None else _trace_json(outcome.trace, result, row_id)
    response = outcome.result
    if not isinstance(response, Response):
        return None, None, trace
    return _headers_json(response.headers), response.body, trace


def _first_row(result: AttemptResult, *, bare: bool) -> tuple[object, ...]:
    """A finished first attempt in FIRST_COLUMNS."""
    claim, outcome, verdict = result.claim, result.outcome, result.verdict
    headers, body, trace = (
        (None, None, None) if bare else stored_response(result, row_id=claim.delivery_id)
    )
    return (
        *(claim.delivery_id, claim.webhook_id, claim.event_id, claim.event_type),
        *(claim.data, claim.payload_bytes, claim.event_created_at, claim.attempt),
        "success" if verdict.delivered else "failed",
        None,
        claim.claimed_at,
        result.signature,
        *(verdict.status, headers, body),
        UNSTORABLE if bare else verdict.error,
        *(outcome.took_ms, trace),
        verdict.too_large,
    )


def _next_row(claim: Claim, due: datetime, *, at: datetime) -> tuple[object, ...]:
    """The attempt after a failed first one in FIRST_COLUMNS."""
    return (
        *(new_delivery_id(), claim.webhook_id, claim.event_id, claim.event_type),
        *(claim.data, claim.payload_bytes, claim.event_created_at, claim.attempt + 1),
        *("pending_retry", due, at),
        *(None,) * 7,
        False,
    )


def _row(
    result: AttemptResult, renamed: Mapping[DeliveryId, DeliveryId], *, bare: bool
) -> tuple[object, ...]:
    """The columns of `r` in STORE_RESULTS, in its order."""
    claim, outcome, verdict = result.claim, result.outcome, result.verdict
    row_id = renamed.get(claim.delivery_id, claim.delivery_id)
    headers, body, trace = (None, None, None) if bare else stored_response(result, row_id=row_id)
    return (
        claim.delivery_id,
        claim.leased_until,
        claim.tenant_id,
        "success" if verdict.delivered else "failed",
        result.signature,
        *(verdict.status, headers, body),
        UNSTORABLE if bare else verdict.error,
        outcome.took_ms,
        claim.claimed_at,
        claim.event_created_at,
        trace,
        verdict.retry_in,
        None if verdict.retry_in is None else new_delivery_id(),
        verdict.too_large,
        row_id,
        claim.webhook_id,
    )


def _trace_json(trace: Trace, result: AttemptResult, row_id: DeliveryId) -> str:
    claim = result.claim
    known = Known(row_id, claim.event_id, claim.event_type, result.signature)
    short = shorten(trace.head, known)
    return orjson.dumps({"shortHead": short, "stagesMs": dict(trace.stages)}).decode()


@lru_cache(64)  # see `egress.http_messages`
def _headers_json(headers: tuple[tuple[str, str], ...]) -> str:
    """A JSON object; repeated headers are joined, as RFC 9110, section 5.3, allows."""
    merged: dict[str, str] = {}
    for name, value in headers:
        merged[name] = f"{merged[name]}, {value}" if name in merged else value
    return orjson.dumps(merged).decode()
