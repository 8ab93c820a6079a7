"""A host's share: lanes that wait for it are parked there, and come back by tenant."""

from daemon.core.model.ids import WebhookId
from daemon.core.scheduling.endpoint_lane import NOTHING_DUE
from daemon.core.scheduling.lanes import Lanes, LaneTurn
from tests.core.scheduling.driven_lanes import at, endpoint, finish, lanes_of, mark_due, tenant

HOST = "192.0.2.1"


def claim(lanes: Lanes, *, taken: int) -> list[LaneTurn]:
    """Take the next turns, whose attempts go to the host."""
    turns = lanes.next_turns(now=0.0, room=100)
    for turn in turns:
        lanes.claimed(turn, taken=taken, last_due=at(0), upcoming=NOTHING_DUE, now=0.0, host=HOST)
    return turns


def call_from_nine_tenants(lanes: Lanes) -> list[WebhookId]:
    """Of sixteen slots, let each of nine tenants hold one at the host."""
    ids = [endpoint(10 * n) for n in range(1, 10)]
    for number, webhook_id in enumerate(ids, start=1):
        mark_due(lanes, webhook_id, tenant_id=tenant(number))
        claim(lanes, taken=1)
    return ids


def test_a_lane_parked_at_a_host_comes_back_when_a_slot_there_does() -> None:
    lanes = lanes_of(slots=16)
    busy = call_from_nine_tenants(lanes)
    waiting = endpoint(11)
    mark_due(lanes, waiting, tenant_id=tenant(1))
    claim(lanes, taken=0)
    mark_due(lanes, waiting, tenant_id=tenant(1))

    assert lanes.next_turns(now=0.0, room=100) == []
    assert lanes.ready == 1
    for webhook_id in busy:
        finish(lanes, webhook_id, took_ms=5000, delivered=False)
    assert [turn.webhook_id for turn in lanes.next_turns(now=5.0, room=100)] == [waiting]


def test_a_newcomer_does_not_wait_behind_a_crowd_that_is_parked_at_the_same_host() -> None:
    lanes = lanes_of(slots=16)
    newcomer, crowd = endpoint(1000), [endpoint(n) for n in range(11, 14)]
    mark_due(lanes, newcomer, tenant_id=tenant(100))
    mark_due(lanes, *crowd, tenant_id=tenant(1))
    claim(lanes, taken=0)  # now their host is known
    busy = call_from_nine_tenants(lanes)
    mark_due(lanes, *crowd, tenant_id=tenant(1))
    mark_due(lanes, newcomer, tenant_id=tenant(100))
    parked = lanes.next_turns(now=0.0, room=100)

    finish(lanes, busy[-1], took_ms=5000, delivered=False)

    assert parked == []
    assert [turn.webhook_id for turn in lanes.next_turns(now=5.0, room=100)] == [newcomer]
