"""Ids that were chosen to have one hash are told apart as quickly as others."""

from uuid import UUID, uuid4

import pytest

from daemon.store import identifiers
from daemon.store.connection import connected
from daemon.store.identifiers import Identifiers, KeyedUUID

MODULUS = 2**61 - 1  # of Python's hash of a number: sys.hash_info.modulus
SAME_HASH = [UUID(int=12345 + number * MODULUS) for number in range(2000)]


def test_ids_that_share_a_hash_are_read_as_ids_that_do_not() -> None:
    assert len(set(map(hash, SAME_HASH))) == 1

    read = [Identifiers().decode(each.bytes) for each in SAME_HASH[:1]]
    ids = Identifiers()
    read = [ids.decode(each.bytes) for each in SAME_HASH]

    assert read == SAME_HASH
    assert len(set(map(hash, read))) > len(read) - 5
    assert dict.fromkeys(read[1:], 1) == {ids.decode(each.bytes): 1 for each in SAME_HASH[1:]}


def test_they_are_noticed_among_many_others() -> None:
    ids = Identifiers()
    read = []
    for each in SAME_HASH[:20]:
        read.append(ids.decode(each.bytes))
        for _ in range(1000):
            ids.decode(uuid4().bytes)

    assert sum(isinstance(each, KeyedUUID) for each in read) >= len(read) - 3


def test_other_ids_are_read_as_before() -> None:
    ids, others = Identifiers(), [uuid4() for _ in range(10_000)]

    read = [ids.decode(each.bytes) for each in others * 2]

    assert read == others * 2
    assert not any(isinstance(each, KeyedUUID) for each in read)
    assert set(read) == set(others)


def test_no_more_hashes_are_remembered_than_there_is_memory_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(identifiers, "MOST_SHARED", 10)
    ids = Identifiers()
    for number in range(100):
        for times in (1, 2):
            ids.decode(UUID(int=number + times * MODULUS).bytes)

    assert len(ids._shared) <= 10
    assert isinstance(ids.decode(UUID(int=99 + 5 * MODULUS).bytes), KeyedUUID)


async def test_a_connection_reads_and_writes_them_as_columns_and_in_arrays(database: str) -> None:
    async with connected(database) as db:
        row = await db.fetchrow(
            "SELECT $1::uuid, $2::uuid[], $3::uuid",
            *(SAME_HASH[7], [*SAME_HASH[:3], None], str(SAME_HASH[8])),
        )
        again = await db.fetchval("SELECT $1::uuid[]", [*row[1][:3], row[0]])

    assert list(row) == [SAME_HASH[7], [*SAME_HASH[:3], None], SAME_HASH[8]]
    assert again == [*SAME_HASH[:3], SAME_HASH[7]]
    assert len({hash(each) for each in again}) == len(again)
