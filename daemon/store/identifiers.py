"""
The codec for UUIDs: no choice of ids makes a dict or a set of them slow.

Python's hash of a UUID is that of its number, its remainder by 2**61 - 1. The application chooses
the ids of its tenants and webhooks, so that it could give thousands of them one hash: a dict that
has these takes a time that grows with the square of their number. No two honest ids ever have one
hash. The rule: of all ids that are in use and have one hash, all but one have a keyed hash in place
of it. While an id is in use, it is always read as the same object.
"""

import weakref
from collections.abc import Callable
from functools import lru_cache
from uuid import UUID

import asyncpg
from asyncpg.pgproto import pgproto
from asyncpg.pool import PoolConnectionProxy

IDS_KEPT = 16 * 1024  # those read last, as tenants and webhooks are again and again


class KeyedUUID(UUID):
    """A UUID whose hash nobody can choose: Python's hash of bytes has a random key."""

    __slots__ = ("_keyed_hash",)
    _keyed_hash: int

    def __init__(self, wire: bytes) -> None:
        super().__init__(bytes=wire)
        object.__setattr__(self, "_keyed_hash", hash(wire))  # a UUID refuses the usual way

    def __hash__(self) -> int:
        return self._keyed_hash


class _InUse(weakref.ref[UUID]):
    """A reference to an id; `key` is that by which it is found."""

    __slots__ = ("key",)
    key: int | bytes


class Identifiers:
    """Reads UUIDs, and knows those that are in use."""

    def __init__(self) -> None:
        # By hash; and those whose hash another has, by their bytes.
        self._in_use: dict[int | bytes, _InUse] = {}
        self._keyed = 0

    def decode(self, wire: bytes) -> UUID:
        """Return the UUID that 16 bytes are."""
        if self._keyed and (found := self._in_use.get(wire)) and (known := found()):
            return known
        value: UUID = pgproto.UUID(wire)
        own: int | bytes = hash(value)
        found = self._in_use.get(own)
        if found is not None:
            known = found()
            if known == value:
                return known
            self._keyed += 1
            value, own = KeyedUUID(wire), wire
        reference = self._in_use[own] = _InUse(value, self._forget)
        reference.key = own
        return value

    def _forget(self, reference: _InUse) -> None:
        key = reference.key
        if self._in_use.get(key) is reference:
            del self._in_use[key]
        if type(key) is bytes:
            self._keyed -= 1


_decode: Callable[[bytes], UUID] = lru_cache(IDS_KEPT)(Identifiers().decode)


def read_id(text: str) -> UUID:
    """Return the UUID that a text is, as the codec does. Raises ValueError."""
    return _decode(UUID(text).bytes)


def _encode(value: UUID | str) -> bytes:
    return UUID(value).bytes if isinstance(value, str) else value.bytes


async def register_id_codec(connection: asyncpg.Connection | PoolConnectionProxy) -> None:
    """Make a connection read UUIDs with this codec; takes no round trip."""
    await connection.set_type_codec(
        "uuid", schema="pg_catalog", encoder=_encode, decoder=_decode, format="binary"
    )
