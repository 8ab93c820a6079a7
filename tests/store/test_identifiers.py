"""Ids that were chosen to have one hash are told apart as quickly as others."""

import gc
from uuid import UUID, uuid4

from daemon.store.connection import connected
from daemon.store.identifiers import Identifiers, KeyedUUID, read_id

MODULUS = 2**61 - 1  # of Python's hash of a number: sys.hash_info.modulus
SAME_HASH = [UUID(int=12345 + number * MODULUS) for number in range(2000)]


def test_ids_that_share_a_hash_are_read_as_ids_that_do_not() -> None:
    ids = Identifiers()

    read = [ids.decode(each.bytes) for each in SAME_HASH]

    assert len(set(map(hash, SAME_HASH))) == 1
    assert read == SAME_HASH
    assert len(set(map(hash, read))) == len(read)


def test_an_id_that_is_in_use_is_always_the_same_object() -> None:
    ids = Identifiers()
    held = [ids.decode(each.bytes) for each in SAME_HASH[::2]]
    for _ in range(2):
        for each in SAME_HASH[1::2]:
            ids.decode(each.bytes)

    again = [ids.decode(each.bytes) for each in SAME_HASH[::2]]

    assert all(one is other for one, other in zip(held, again, strict=True))


def test_an_id_stays_the_same_object_when_the_other_with_its_hash_is_forgotten() -> None:
    ids = Identifiers()
    other = ids.decode(SAME_HASH[0].bytes)
    held = ids.decode(SAME_HASH[1].bytes)
    del other
    gc.collect()

    assert ids.decode(SAME_HASH[1].bytes) is held
    assert ids.decode(SAME_HASH[2].bytes) != held
    assert ids.decode(SAME_HASH[1].bytes) is held


def test_what_is_not_in_use_any_more_is_forgotten() -> None:
    ids = Identifiers()
    for each in (*SAME_HASH[:10], *(uuid4() for _ in range(10))):
        ids.decode(each.bytes)
    gc.collect()

    alone = ids.decode(SAME_HASH[5].bytes)

    assert not isinstance(alone, KeyedUUID)
    assert (len(ids._in_use), ids._keyed) == (1, 0)


def test_other_ids_are_read_as_before() -> None:
    ids, others = Identifiers(), [uuid4() for _ in range(10_000)]

    read = [ids.decode(each.bytes) for each in others * 2]

    assert read == others * 2
    assert not any(isinstance(each, KeyedUUID) for each in read)
    assert set(read) == set(others)


async def test_a_connection_reads_and_writes_them_as_columns_and_in_arrays(database: str) -> None:
    some = [*SAME_HASH[:3], None]
    async with connected(database) as db:
        row = await db.fetchrow(
            "SELECT $1::uuid, $2::uuid[], $3::uuid", SAME_HASH[7], some, str(SAME_HASH[8])
        )
        again = await db.fetchval("SELECT $1::uuid[]", [*row[1][:3], row[0]])

    assert list(row) == [SAME_HASH[7], some, SAME_HASH[8]]
    assert again == [*SAME_HASH[:3], SAME_HASH[7]]
    assert len({hash(each) for each in again}) == len(again)
    assert read_id(str(SAME_HASH[7])) is again[3]
