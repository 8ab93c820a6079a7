"""The last quarter of the slots: what tenants that hold many leave to those that hold few."""

import pytest

from daemon.core.scheduling.slots import Slots, Tenant
from tests.core.scheduling.driven_lanes import tenant


def take(slots: Slots, of: Tenant) -> int:
    """Let a tenant take as many slots for quick lanes as it may, one after the other."""
    taken = 0
    while slots.room_for(of, unproven=False):
        slots.in_flight += 1
        of.in_flight += 1
        taken += 1
    return taken


@pytest.mark.parametrize(
    ("total", "first", "next_ones"), [(512, 352, 4), (2048, 1408, 4), (256, 176, 2), (32, 22, 2)]
)
def test_one_tenant_leaves_the_last_quarter_to_others_which_may_have_few_each(
    total: int, first: int, next_ones: int
) -> None:
    slots = Slots(total)

    assert take(slots, Tenant(id=tenant(0))) == first
    assert take(slots, Tenant(id=tenant(1))) == next_ones
    assert take(slots, Tenant(id=tenant(2))) == next_ones


@pytest.mark.parametrize(("total", "enough"), [(512, 33), (1024, 65), (2048, 129)])
def test_the_tenants_that_use_up_the_last_quarter_are_many_and_leave_the_reserve(
    total: int, enough: int
) -> None:
    slots = Slots(total)
    taken = [take(slots, Tenant(id=tenant(n))) for n in range(enough + 2)]

    assert taken[-3:] == [4, 1, 1]
    assert sum(taken[:enough]) == total - total // 16


def test_room_is_the_number_of_slots_that_may_be_taken_one_after_the_other() -> None:
    slots = Slots(512)
    for n in range(40):
        each = Tenant(id=tenant(n))
        room = slots.room_for(each, unproven=False)

        assert take(slots, each) == room
