"""
Event data, and its size as PostgreSQL prints it, known before anything is fetched.

The rule: no statement prints data that was not measured. A few stored bytes may print as a
gigabyte, so what takes long to measure is measured alone, and never beside other rows.
"""

from typing import Any
from uuid import UUID

import asyncpg

from daemon.store.session import Connection

# Bytes as stored in memory: what is larger is not measured beside other rows.
QUICK_BYTES = 16 * 1024
# Compressed, this is at most some hundred kilobytes, which are decompressed in no time.
QUICK_COMPRESSED_BYTES = 4096
FETCHED_AT_ONCE = 64 * 1024  # printed bytes; larger data is fetched one by one
UNPRINTABLE_BYTES = 2**62  # the size of data that cannot be measured in time
MEASURE_SECONDS = 8


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
                    THEN webhook_payload_bytes({data}, {most}::bigint) END"""


LIMIT_TIME = "SET LOCAL statement_timeout = '{}s'"
# How a query begins and ends, as a transaction or as a piece of one. Undone, for that restores the
# caller's limit of time, and there is nothing else to undo.
WHOLE = "BEGIN", "ROLLBACK"
PIECE = "SAVEPOINT measured", "ROLLBACK TO SAVEPOINT measured; RELEASE SAVEPOINT measured"
MEASURE_EVENT = """
    SELECT webhook_payload_bytes(event_data, $2::bigint) FROM webhook_events WHERE id = $1
"""
MEASURE_DELIVERY = """
    SELECT webhook_payload_bytes(
               CASE WHEN d.payload IS NULL THEN e.event_data ELSE d.payload END, $2::bigint)
      FROM webhook_deliveries AS d
      LEFT JOIN LATERAL (
            SELECT event_data
              FROM webhook_events
             WHERE d.payload IS NULL AND id = d.event_id AND tenant_id = $3) AS e
             ON true
     WHERE d.id = $1
"""


async def measure_event(db: Connection, event_id: UUID, *, most_bytes: int) -> int:
    """
    Measure an event's data by itself, in the caller's transaction if there is one.

    Returns the size in bytes, exact up to `most_bytes`; 0 if there is no such event.
    """
    return await _measure(db, MEASURE_EVENT, event_id, most_bytes)


async def measure_delivery(
    db: Connection, delivery_id: UUID, tenant_id: UUID, *, most_bytes: int
) -> int:
    """Measure a delivery's data by itself, as `measure_event` does."""
    return await _measure(db, MEASURE_DELIVERY, delivery_id, most_bytes, tenant_id)


async def _measure(db: Connection, query: str, *args: object) -> int:
    size = await within_seconds(db, MEASURE_SECONDS, query, *args, otherwise=UNPRINTABLE_BYTES)
    return int(size or 0)


async def within_seconds(
    db: Connection, seconds: int, query: str, *args: object, otherwise: object = None
) -> Any:
    """
    Return what a query returns, or `otherwise` if it takes longer, or prints too much.

    In the caller's transaction if there is one, which goes on in either case.
    """
    begin, undo = PIECE if db.is_in_transaction() else WHOLE
    await db.execute(f"{begin}; {LIMIT_TIME.format(seconds)}")
    try:
        value = await db.fetchval(query, *args)
    except (asyncpg.QueryCanceledError, asyncpg.ProgramLimitExceededError):
        value = otherwise
    except asyncpg.PostgresError:
        await db.execute(undo)
        raise
    await db.execute(undo)
    return value


GET_DELIVERY_DATA = """
    SELECT CASE WHEN d.payload IS NULL THEN e.event_data ELSE d.payload END
      FROM webhook_deliveries AS d
      LEFT JOIN LATERAL (
            SELECT event_data
              FROM webhook_events
             WHERE d.payload IS NULL AND id = d.event_id AND tenant_id = $2) AS e
             ON true
     WHERE d.id = $1
"""


async def delivery_data(db: Connection, delivery_id: UUID, tenant_id: UUID) -> str | None:
    """Return the data of a delivery that was measured, as JSON text."""
    data: str | None = await db.fetchval(GET_DELIVERY_DATA, delivery_id, tenant_id)
    return data
