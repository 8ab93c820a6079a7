"""The memory of large bodies in flight is shared by tenants, and never used up by a few."""

from uuid import UUID

import pytest

from daemon.core.model.ids import TenantId
from daemon.pipeline.memory_budget import BYTES_IN_FLIGHT, MemoryBudget
from daemon.store.payload_size import FETCHED_AT_ONCE

MIB = 1024 * 1024


def tenant(number: int) -> TenantId:
    return TenantId(UUID(int=number))


def take_all(memory: MemoryBudget, number: int, size: int) -> int:
    """Take as many bodies as this tenant may; returns how many."""
    taken = 0
    while memory.take(tenant(number), size):
        taken += 1
    return taken


def test_a_tenant_alone_may_have_a_quarter() -> None:
    assert take_all(MemoryBudget(), 1, 4 * MIB) == 2
    assert take_all(MemoryBudget(), 1, MIB) == 8


@pytest.mark.parametrize("tenants", [4, 8, 50])
@pytest.mark.parametrize("size", [MIB, 4 * MIB])
def test_tenants_with_large_bodies_leave_room_to_the_next_one(tenants: int, size: int) -> None:
    memory = MemoryBudget()
    for number in range(tenants):
        take_all(memory, number, size)

    assert take_all(memory, 1000, 100 * 1024) >= 2


def test_what_is_in_flight_is_never_more_than_the_budget() -> None:
    memory = MemoryBudget()
    taken = sum(take_all(memory, number, 100 * 1024) for number in range(1000))

    assert BYTES_IN_FLIGHT * 0.9 < taken * 100 * 1024 <= BYTES_IN_FLIGHT


def test_the_only_body_of_a_tenant_may_be_larger_than_its_share() -> None:
    memory = MemoryBudget()
    assert memory.take(tenant(1), 20 * MIB)

    assert memory.take(tenant(2), 4 * MIB)
    assert not memory.take(tenant(2), 4 * MIB)
    assert not memory.take(tenant(3), 4 * MIB)


def test_a_body_larger_than_the_whole_budget_goes_alone() -> None:
    memory = MemoryBudget()
    assert memory.take(tenant(1), 2 * BYTES_IN_FLIGHT)
    assert not memory.take(tenant(2), MIB)

    memory.free(tenant(1), 2 * BYTES_IN_FLIGHT)
    assert memory.take(tenant(2), MIB)


def test_small_bodies_need_no_leave() -> None:
    memory = MemoryBudget()
    memory.take(tenant(1), 2 * BYTES_IN_FLIGHT)

    assert memory.take(tenant(2), FETCHED_AT_ONCE)
