"""Turns go round by tenant, and then by lane, in time that grows with neither."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.core.model.ids import WebhookId
from daemon.core.scheduling import waiting_lanes
from daemon.core.scheduling.endpoint_lane import NOTHING_DUE
from daemon.core.scheduling.slots import Slots
from daemon.core.scheduling.waiting_lanes import WaitingLanes
from tests.core.scheduling.driven_lanes import (
    A,
    claim_all,
    endpoint,
    finish,
    lanes_of,
    mark_due,
    tenant,
    widen,
)


def test_a_tenant_with_thousands_of_lanes_has_as_many_turns_as_one_with_one_lane() -> None:
    lanes = lanes_of(slots=10)
    crowd = [endpoint(n) for n in range(10, 5_010)]
    mark_due(lanes, *crowd, tenant_id=tenant(2))
    mark_due(lanes, A, tenant_id=tenant(1))

    turns = Counter[bool]()
    for _ in range(100):
        [turn] = claim_all(lanes, room=1)
        turns[turn.webhook_id == A] += 1
        finish(lanes, turn.webhook_id, delivered=False)
        claim_all(lanes, room=0)

    assert turns == {True: 50, False: 50}


def test_a_lane_that_is_known_to_be_quick_does_not_wait_for_thousands_of_new_ones() -> None:
    lanes = lanes_of(slots=10)
    mark_due(lanes, A)
    claim_all(lanes, room=1)
    finish(lanes, A)
    mark_due(lanes, *(endpoint(n) for n in range(10, 5_010)))
    mark_due(lanes, A)

    assert A in [each.webhook_id for each in lanes.next_turns(now=0.0, room=2)]


def test_the_lanes_of_a_tenant_take_turns() -> None:
    lanes = lanes_of(slots=10)
    ids = [endpoint(n) for n in range(10, 15)]
    mark_due(lanes, *ids, tenant_id=tenant(2))

    picked: list[WebhookId] = []
    for _ in range(10):
        [turn] = claim_all(lanes, room=1)
        picked.append(turn.webhook_id)
        finish(lanes, turn.webhook_id, delivered=False)

    assert picked == ids + ids


def test_the_room_is_shared_equally_among_the_waiting_tenants() -> None:
    lanes = lanes_of(slots=100, widest=40)
    many = [endpoint(n) for n in range(10, 15)]
    for webhook_id in (A, *many):
        mark_due(lanes, webhook_id, tenant_id=tenant(1 if webhook_id == A else 2))
        widen(lanes, webhook_id)
    mark_due(lanes, *many, A)

    limits = {turn.webhook_id: turn.limit for turn in lanes.next_turns(now=0.0, room=20)}

    assert limits[A] == 10
    assert sum(limits[webhook_id] for webhook_id in many) == 10


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(st.integers(1, 6), min_size=1, max_size=8),
    proven=st.sets(st.integers(0, 60)),
    room=st.integers(1, 5),
)
def test_no_tenant_is_passed_over_for_more_than_one_round(
    numbers: list[int], proven: set[int], room: int
) -> None:
    lanes = lanes_of(slots=1000)
    tenant_of = {
        endpoint(10 * number + n): number
        for number, lanes_of_tenant in enumerate(numbers, start=1)
        for n in range(lanes_of_tenant)
    }
    for webhook_id, number in tenant_of.items():
        mark_due(lanes, webhook_id, tenant_id=tenant(number))
    order: list[int] = []
    while len(order) < 12 * len(numbers):
        for turn in claim_all(lanes, room=room):
            order.append(tenant_of[turn.webhook_id])
            delivered = turn.webhook_id.int in proven
            finish(lanes, turn.webhook_id, times=turn.limit, delivered=delivered)

    # A tenant with lanes of both kinds has two places in line.
    for number in range(1, len(numbers) + 1):
        at = [n for n, picked in enumerate(order) if picked == number]
        gaps = [later - earlier for earlier, later in zip([-1, *at], at, strict=False)]
        assert len(at) >= 2
        assert max(gaps) <= 2 * len(numbers) + room


@pytest.mark.parametrize("host", [None, "192.0.2.1"])
def test_the_work_of_a_turn_is_bounded_by_the_slots_not_by_tenants_or_lanes(
    monkeypatch: pytest.MonkeyPatch, host: str | None
) -> None:
    steps = Counter[str]()

    def counted(owner: type, name: str) -> None:
        original = getattr(owner, name)

        def counting(self: object, *args: object, **options: object) -> object:
            steps[name] += 1
            return original(self, *args, **options)

        monkeypatch.setattr(owner, name, counting)

    lanes = lanes_of(slots=64)
    ids = [endpoint(n) for n in range(10, 20_010)]
    for n, webhook_id in enumerate(ids):
        mark_due(lanes, webhook_id, tenant_id=tenant(n % 5_000))
    turns = lanes.next_turns(now=0.0, room=64)
    for turn in turns:
        lanes.claimed(
            turn, taken=turn.limit, last_due=None, upcoming=NOTHING_DUE, now=0.0, host=host
        )
    counted(Slots, "room_for")
    counted(WaitingLanes, "unpark")

    for turn in turns[:20]:
        lanes.finished(turn.webhook_id, took_ms=5000, delivered=False, now=5.0, host=host)
        lanes.next_turns(now=5.0, room=lanes.slots - lanes.in_flight)

    assert steps["room_for"] <= 20 * 2 * 64
    assert steps["unpark"] <= 20 * (waiting_lanes.HOSTS_REVIEWED_AT_ONCE + 1)
