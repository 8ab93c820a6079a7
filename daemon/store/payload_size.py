"""
Event data, and its size as PostgreSQL prints it, known before anything is fetched.

The rule: no statement prints data that were not measured, these very ones: where they may have
changed since, it measures them again. A few stored bytes may print as a gigabyte, so what takes
long to measure is measured alone, and never beside other rows.
"""

from typing import Any
from uuid import UUID

import asyncpg

from daemon.core.model.attempts import Claim
from daemon.core.model.ids import DeliveryId, TenantId, WebhookId
from daemon.store.attempt_chains import PENDING
from daemon.store.session import Connection

# Bytes as stored in memory: what is larger is not measured beside other rows.
QUICK_BYTES = 16 * 1024
# Compressed, this is at most some hundred kilobytes, which are decompressed in no time.
QUICK_COMPRESSED_BYTES = 4096
FETCHED_AT_ONCE = 32 * 1024  # printed bytes; larger data is fetched one by one
UNPRINTABLE_BYTES = 2**62  # the size of data that cannot be measured in time
MEASURE_SECONDS = 8
# The numbers that print as many more digits than are stored, as in `webhook_payload_bytes`: most
# small data have none, and calling that for each would cost four times as much.
EXPLODING = (
    'strict $.** ? (@.type() == "number" && (@ > 1e40 || @ < -1e40 || (@ < 1e-40 && @ > -1e-40'
    " && (@ != 0 || 1 / (@ + 3) > 0.33333333333333333333333333333333333333333333))))"
)


def quick_bytes(data: str, most: str) -> str:
    """SQL: the printed size of the column `data`, up to `most`; NULL if measuring takes long."""
    return f"""
               CASE WHEN {data} IS NULL THEN 4
                    WHEN CASE WHEN pg_catalog.pg_column_compression({data}) IS NULL
                              THEN pg_catalog.pg_column_size({data})
                              WHEN pg_catalog.pg_column_size({data}) <= {QUICK_COMPRESSED_BYTES}
                              THEN pg_catalog.pg_column_size(
                                       jsonb_path_query_first({data}, '$'::jsonpath))
                         END <= {QUICK_BYTES}
                    THEN CASE WHEN jsonb_path_exists({data}, '{EXPLODING}'::jsonpath)
                              THEN webhook_payload_bytes({data}, {most}::bigint)
                              ELSE octet_length({data}::text) END END"""


LIMIT_TIME = "SET LOCAL statement_timeout = '{}s'"
# How a query begins and ends, as a transaction or as a piece of one. Undone, for that restores the
# caller's limit of time, and there is nothing else to undo.
WHOLE = "BEGIN", "ROLLBACK"
PIECE = "SAVEPOINT measured", "ROLLBACK TO SAVEPOINT measured; RELEASE SAVEPOINT measured"
MEASURE_EVENT = """
    SELECT webhook_payload_bytes(event_data, $2::bigint) FROM webhook_events WHERE id = $1
"""
MEASURED_EVENT = """
    SELECT bytes, CASE WHEN bytes <= $2::bigint THEN data END AS data
      FROM (SELECT event_data AS data, webhook_payload_bytes(event_data, $2::bigint) AS bytes
              FROM webhook_events
             WHERE id = $1
            OFFSET 0) AS measured
"""
# The webhook is named, because other partitions may have rows of other tenants with this id. Not by
# `=`: a planner might read all of its deliveries.
OF_DELIVERY = """
      FROM webhook_deliveries AS d
      LEFT JOIN LATERAL (
            SELECT event_data
              FROM webhook_events
             WHERE d.payload IS NULL AND id = d.event_id AND tenant_id = $3
             LIMIT 1) AS e
             ON true
     WHERE d.id >= $1 AND d.id <= $1 AND d.webhook_id IS NOT DISTINCT FROM $2"""
OF_PENDING = f" AND {PENDING.format(row='d.')}"
MEASURE_DELIVERY = f"""
    SELECT webhook_payload_bytes(
               CASE WHEN d.payload IS NULL THEN e.event_data ELSE d.payload END, $4::bigint)
           {OF_DELIVERY.strip()}{OF_PENDING}
"""


async def measure_event(
    db: Connection, event_id: UUID, *, most_bytes: int, seconds: float = MEASURE_SECONDS
) -> int:
    """
    Measure an event's data by itself, in the caller's transaction if there is one.

    Returns the size in bytes, exact up to `most_bytes`; 0 if there is no such event, and
    UNPRINTABLE_BYTES if it takes longer than so many seconds.
    """
    return await _measure(db, seconds, MEASURE_EVENT, event_id, most_bytes)


async def event_data(db: Connection, event_id: UUID, *, most_bytes: int) -> tuple[int, str | None]:
    """
    Return the size of an event's data, as `measure_event` does, and the data as JSON text.

    None if they print more than `most_bytes`, or if there is no such event.
    """
    row = await _within_seconds(db, MEASURE_SECONDS, MEASURED_EVENT, event_id, most_bytes)
    if row is None:
        return 0, None
    return (UNPRINTABLE_BYTES, None) if row is LATE else (row[0], row[1])


async def measure_pending(db: Connection, claim: Claim, *, most_bytes: int) -> int:
    """Measure the data of a pending delivery by themselves, as `measure_event` does."""
    return await _measure(
        *(
            db,
            MEASURE_SECONDS,
            MEASURE_DELIVERY,
            claim.delivery_id,
            claim.webhook_id,
            claim.tenant_id,
        ),
        most_bytes,
    )


async def _measure(db: Connection, seconds: float, query: str, *args: object) -> int:
    size = await within_seconds(db, seconds, query, *args, otherwise=UNPRINTABLE_BYTES)
    return int(size or 0)


async def within_seconds(
    db: Connection, seconds: float, query: str, *args: object, otherwise: object = None
) -> Any:
    """
    Return what a query returns, or `otherwise` if it takes longer, or prints too much.

    In the caller's transaction if there is one, which goes on in either case.
    """
    row = await _within_seconds(db, seconds, query, *args)
    if row is LATE:
        return otherwise
    return None if row is None else row[0]


LATE = object()


async def _within_seconds(db: Connection, seconds: float, query: str, *args: object) -> Any:
    """Return the first row of a query, None if it has none, or LATE."""
    begin, undo = PIECE if db.is_in_transaction() else WHOLE
    await db.execute(f"{begin}; {LIMIT_TIME.format(seconds)}")
    try:
        row = await db.fetchrow(query, *args)
    except (asyncpg.QueryCanceledError, asyncpg.ProgramLimitExceededError):
        row = LATE
    except asyncpg.PostgresError:
        await db.execute(undo)
        raise
    await db.execute(undo)
    return row


DELIVERY_DATA = f"""
    SELECT CASE WHEN data IS NULL THEN 'null'::jsonb
                -- The event of a row without data of its own may have changed since.
                WHEN CASE WHEN is_noted THEN payload_bytes
                          ELSE webhook_payload_bytes(data, $4::bigint) END <= $4::bigint
                THEN data END
      FROM (SELECT d.payload_bytes,
                   d.payload IS NOT NULL AND d.payload_bytes IS NOT NULL AS is_noted,
                   CASE WHEN d.payload IS NULL THEN e.event_data ELSE d.payload END AS data
           {OF_DELIVERY.strip()}{{pending}}
            OFFSET 0) AS found
"""  # noqa: S608  made of constants only
PENDING_DATA = DELIVERY_DATA.format(pending=OF_PENDING)
STORED_DATA = DELIVERY_DATA.format(pending="")


async def pending_data(db: Connection, claim: Claim, *, most_bytes: int) -> str | None:
    """
    Return the data of a pending delivery as JSON text.

    None if they print more than `most_bytes`, or if the row is gone.
    """
    args = (claim.delivery_id, claim.webhook_id, claim.tenant_id, most_bytes)
    data: str | None = await within_seconds(db, MEASURE_SECONDS, PENDING_DATA, *args)
    return data


async def stored_data(
    db: Connection,
    delivery_id: DeliveryId,
    webhook_id: WebhookId,
    tenant_id: TenantId,
    *,
    most_bytes: int,
) -> str | None:
    """Return the data of a delivery of any status, as `pending_data` does."""
    args = (delivery_id, webhook_id, tenant_id, most_bytes)
    data: str | None = await within_seconds(db, MEASURE_SECONDS, STORED_DATA, *args)
    return data
