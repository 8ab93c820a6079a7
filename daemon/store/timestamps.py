"""
Times as PostgreSQL has them, on every connection: no row may hold one that cannot be read.

PostgreSQL counts from 4713 BC to the year 294276 and knows `infinity`; Python's calendar has the
years 1 to 9999. What is beyond an end of it is read as that end, and the ends are written as
infinite: whatever was read and is compared with its column again is beyond no row.
"""

import struct
from datetime import UTC, datetime, timedelta

import asyncpg
from asyncpg.pool import PoolConnectionProxy

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

WIRE = struct.Struct("!q")  # microseconds since EPOCH
BEFORE_ALL, AFTER_ALL = WIRE.pack(-(2**63)), WIRE.pack(2**63 - 1)  # -infinity, infinity


async def read_every_time(connection: asyncpg.Connection | PoolConnectionProxy) -> None:
    """Make this connection read and write times so; costs no round trip."""
    await connection.set_type_codec(
        "timestamptz", schema="pg_catalog", encoder=written, decoder=read, format="binary"
    )


def read(wire: bytes) -> datetime:
    (microseconds,) = WIRE.unpack(wire)
    try:
        return EPOCH + timedelta(0, 0, microseconds)
    except OverflowError:
        return LATEST if microseconds > 0 else EARLIEST


def written(moment: datetime) -> bytes:
    """Raises TypeError for one without a zone, which says nothing."""
    if moment == LATEST:
        return AFTER_ALL
    if moment == EARLIEST:
        return BEFORE_ALL
    return WIRE.pack((moment - EPOCH) // MICROSECOND)
