"""Delivery ids are unique UUIDs of version 7, ordered by time."""

import time
from types import SimpleNamespace
from uuid import RFC_4122

import pytest

from daemon.store import delivery_ids
from daemon.store.delivery_ids import new_delivery_id


def test_an_id_is_a_uuid_of_version_7() -> None:
    made = [new_delivery_id() for _ in range(1000)]

    assert {each.version for each in made} == {7}
    assert {each.variant for each in made} == {RFC_4122}


def test_ids_are_unique() -> None:
    assert len({new_delivery_id() for _ in range(10_000)}) == 10_000


def test_an_id_begins_with_the_milliseconds_since_1970() -> None:
    before = time.time_ns() // 1_000_000
    milliseconds = new_delivery_id().int >> 80

    assert before <= milliseconds <= time.time_ns() // 1_000_000


@pytest.mark.parametrize("random_bits", [0, 2**80 - 1])
def test_ids_are_ordered_by_time_whatever_the_random_bits(
    random_bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([1, 2, 2**48 - 1])
    monkeypatch.setattr(delivery_ids, "random", SimpleNamespace(getrandbits=lambda _: random_bits))
    monkeypatch.setattr(
        delivery_ids, "time", SimpleNamespace(time_ns=lambda: next(clock) * 1_000_000)
    )

    made = [new_delivery_id() for _ in range(3)]

    assert made == sorted(made)
    assert [each.int >> 80 for each in made] == [1, 2, 2**48 - 1]
    assert {(each.version, each.variant) for each in made} == {(7, RFC_4122)}
