"""
The codec for UUIDs: no choice of ids makes a dict or a set of them slow.

Python's hash of a UUID is that of its number, its remainder by 2**61 - 1. The application chooses
the ids of its tenants and webhooks, so that it could give thousands of them one hash: a dict that
has these takes a time that grows with the square of their number. No two honest ids ever have one
hash. The rule: from the second id with a hash on, ids with it are read as ones whose hash is keyed.
"""

import os
from array import array
from collections.abc import Callable
from functools import lru_cache
from uuid import UUID

import asyncpg
from asyncpg.pgproto import pgproto
from asyncpg.pool import PoolConnectionProxy

IDS_KEPT = 16 * 1024  # those read last, as tenants and webhooks are again and again
SLOTS = 1 << 16  # of hashes that are remembered
MOST_SHARED = 100_000


class KeyedUUID(UUID):
    """A UUID whose hash nobody can choose: Python's hash of bytes has a random key."""

    def __hash__(self) -> int:
        return hash(self.bytes)


class Identifiers:
    """Reads UUIDs, and remembers the hashes of those that it has read last."""

    def __init__(self) -> None:
        self._key = int.from_bytes(os.urandom(8)) | 1
        # By slot, a hash and that of the bytes: as much memory for any number of ids.
        self._hashes = array("q", bytes(8 * SLOTS))
        self._ids = array("q", bytes(8 * SLOTS))
        self._shared: set[int] = set()

    def decode(self, wire: bytes) -> UUID:
        """Return the UUID that 16 bytes are."""
        value: UUID = pgproto.UUID(wire)
        own = hash(value)
        slot = (own * self._key >> 40) % SLOTS
        if self._hashes[slot] != own:
            self._hashes[slot], self._ids[slot] = own, hash(wire)
        elif self._ids[slot] != hash(wire):
            self._note_shared(own)
        return KeyedUUID(bytes=wire) if self._shared and own in self._shared else value

    def _note_shared(self, own: int) -> None:
        if len(self._shared) == MOST_SHARED:
            self._shared.clear()
        self._shared.add(own)


_decode: Callable[[bytes], UUID] = lru_cache(IDS_KEPT)(Identifiers().decode)


def _encode(value: UUID | str) -> bytes:
    return (UUID(value) if isinstance(value, str) else value).bytes


async def register_id_codec(connection: asyncpg.Connection | PoolConnectionProxy) -> None:
    """Make a connection read UUIDs with this codec; takes no round trip."""
    await connection.set_type_codec(
        "uuid", schema="pg_catalog", encoder=_encode, decoder=_decode, format="binary"
    )
