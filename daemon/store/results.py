"""The results of attempts, stored in batches behind the fence of their leases."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

import orjson

from daemon.core.model.attempts import AttemptResult, Claim, Failure, Response, Trace
from daemon.core.model.ids import DeliveryId
from daemon.runtime.uuid7 import new_delivery_id
from daemon.store.database import Connection


@dataclass(frozen=True, slots=True)
class ResultRow:
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


async def store_results(
    db: Connection, settlements: Sequence[ResultRow]
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


def _settlement_of(attempted: AttemptResult, *, bare: bool) -> ResultRow:
    headers: str | None = None
    body: str | None = None
    match attempted.outcome.result:
        case Response(headers=received, body=text) if not bare:
            headers, body = _as_json(received), text
        case Response() | Failure():
            pass
        case _:
            assert_never(attempted.outcome.result)
    verdict = attempted.verdict
    return ResultRow(
        claim=attempted.claim,
        status="success" if verdict.delivered else "failed",
        signature=attempted.signature,
        status_code=verdict.status,
        response_headers=headers,
        response_body=body,
        error="the result could not be stored as it came" if bare else verdict.error,
        took_ms=attempted.outcome.took_ms,
        retry_in=verdict.retry_in,
        next_id=None if verdict.retry_in is None else new_delivery_id(),
        trace=None
        if bare or attempted.outcome.trace is None
        else _trace_of(attempted.outcome.trace),
    )


def _trace_of(trace: Trace) -> str:
    return orjson.dumps({"head": trace.head, "stagesMs": dict(trace.stages)}).decode()


def _as_json(headers: Sequence[tuple[str, str]]) -> str:
    """An object; repeated headers as one, as RFC 9110 section 5.3 allows to read them."""
    merged: dict[str, str] = {}
    for name, value in headers:
        merged[name] = f"{merged[name]}, {value}" if name in merged else value
    return orjson.dumps(merged).decode()
