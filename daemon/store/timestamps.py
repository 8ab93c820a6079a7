"""
The codec for times: every time that PostgreSQL can store can be read.

PostgreSQL's times go from 4713 BC to the year 294276 and include `infinity`; Python's go from year
1 to year 9999. A time beyond either end is read as that end, and the ends are written as infinite:
so a time that was read and is then compared with its column includes the row that it came from.
"""

import struct
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import asyncpg
from asyncpg.pool import PoolConnectionProxy

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

TIMES_KEPT = 1024
WIRE = struct.Struct("!q")  # microseconds since EPOCH
BEFORE_ALL, AFTER_ALL = WIRE.pack(-(2**63)), WIRE.pack(2**63 - 1)  # -infinity, infinity


async def register_time_codec(connection: asyncpg.Connection | PoolConnectionProxy) -> None:
    """Make a connection read and write times with this codec; takes no round trip."""
    await connection.set_type_codec(
        "timestamptz", schema="pg_catalog", encoder=encode, decoder=decode, format="binary"
    )


@lru_cache(TIMES_KEPT)  # leases and rows of one transaction have the same time
def decode(wire: bytes) -> datetime:
    """Return the time, or the end of Python's calendar that it lies beyond."""
    (microseconds,) = WIRE.unpack(wire)
    try:
        return EPOCH + timedelta(0, 0, microseconds)
    except OverflowError:
        return LATEST if microseconds > 0 else EARLIEST


def encode(time: datetime) -> bytes:
    """Return a time in PostgreSQL's binary format. Raises TypeError for one without a zone."""
    if time == LATEST:
        return AFTER_ALL
    if time == EARLIEST:
        return BEFORE_ALL
    return WIRE.pack((time - EPOCH) // MICROSECOND)
