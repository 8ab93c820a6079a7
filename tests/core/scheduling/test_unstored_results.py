"""A result that is not stored yet takes a slot of its tenant's share, and of no other."""

from collections.abc import Callable

from daemon.core.model.ids import TenantId
from daemon.core.scheduling.slots import TENANT, Slots, Tenant
from tests.core.scheduling.driven_lanes import A, claim_all, endpoint, lanes_of, mark_due, tenant

CROWD, OTHER = tenant(2), tenant(1)


def of_crowd(count: int) -> Callable[[TenantId], int]:
    return lambda tenant_id: count if tenant_id == CROWD else 0


def test_a_tenant_holds_no_more_slots_and_unstored_results_together_than_its_share() -> None:
    slots, crowd, other = Slots(512), Tenant(id=CROWD), Tenant(id=OTHER)
    share = TENANT.room(held=0, free=512 - 32)
    slots.note_unstored(share, of_tenant=of_crowd(share))
    while_unstored = [slots.room_for(each, unproven=False) for each in (crowd, other)]
    slots.note_unstored(0, of_tenant=of_crowd(0))

    assert while_unstored[0] == 0 < while_unstored[1]
    assert slots.room_for(crowd, unproven=False) > 0


def test_results_that_are_not_stored_do_not_use_up_what_is_for_tenants_that_hold_few_slots() -> (
    None
):
    slots, crowd = Slots(512), Tenant(id=CROWD)
    slots.note_unstored(300, of_tenant=of_crowd(300))

    assert slots.room_for(crowd, unproven=False) == TENANT.room(held=300, free=512 - 32 - 300) > 100


def test_the_reserve_is_not_for_a_tenant_with_unstored_results() -> None:
    slots = Slots(32)
    slots.note_unstored(30, of_tenant=of_crowd(30))

    assert slots.room_for(Tenant(id=CROWD), unproven=False) == 0
    assert slots.room_for(Tenant(id=OTHER), unproven=False) == 1


def test_another_tenant_has_its_turn_beside_a_crowd_whose_results_are_not_stored() -> None:
    lanes = lanes_of(slots=32)
    crowd = [endpoint(n) for n in range(10, 60)]
    mark_due(lanes, *crowd, tenant_id=CROWD)
    lanes.note_unstored(26, of_tenant=of_crowd(26))
    mark_due(lanes, A, tenant_id=OTHER)

    assert {turn.webhook_id for turn in claim_all(lanes, room=6)} == {A}
