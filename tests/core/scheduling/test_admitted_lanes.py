"""First attempts that begin at once, without a turn: only where they overtake no waiting one."""

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.scheduling.lanes import Lanes
from tests.core.scheduling.driven_lanes import A, B, C, claim_all, finish, lanes_of, mark_due, widen

HOST = "192.0.2.1"


def admit(
    lanes: Lanes,
    webhook_id: WebhookId,
    *,
    now: float = 0.0,
    host: str | None = None,
    tenant_id: TenantId | None = None,
) -> bool:
    return lanes.admit(webhook_id, tenant_id=tenant_id or TenantId(webhook_id), now=now, host=host)


def queue(lanes: Lanes, webhook_id: WebhookId) -> None:
    lanes.queue(webhook_id, tenant_id=TenantId(webhook_id), now=0.0)


def test_the_window_bounds_attempts_that_begin_at_once() -> None:
    lanes = lanes_of()

    admitted = [admit(lanes, A) for _ in range(3)]
    in_flight = lanes.in_flight
    finish(lanes, A)

    assert admitted == [True, True, False]
    assert (in_flight, lanes.held) == (2, 1)
    assert admit(lanes, A)


def test_an_attempt_does_not_pass_those_that_wait_in_its_lane_or_in_others() -> None:
    lanes = lanes_of()
    queue(lanes, A)

    assert not admit(lanes, A)
    assert not admit(lanes, B)
    [turn] = lanes.next_turns(now=0.0, room=10)
    assert not admit(lanes, A)
    assert admit(lanes, B)
    lanes.dequeued(turn, taken=1, now=0.0)
    assert admit(lanes, A)


def test_an_attempt_does_not_pass_what_has_just_come_due_in_another_lane() -> None:
    lanes = lanes_of()
    mark_due(lanes, A, due_at=5.0)

    assert admit(lanes, B, now=4.0)
    assert not admit(lanes, B, now=5.0)


def test_an_attempt_does_not_pass_what_its_lane_has_due_in_the_database() -> None:
    lanes = lanes_of()
    admit(lanes, A)
    admit(lanes, A)
    mark_due(lanes, A)  # no room, so not in line
    lanes.returned(A, now=0.0)
    claim_all(lanes)

    assert not admit(lanes, A)


def test_an_endpoint_that_rests_is_spaced_out_or_blocked_is_not_called() -> None:
    lanes = lanes_of()
    for webhook_id in (A, B, C):
        assert admit(lanes, webhook_id)

    lanes.rest(A, until=2.0)
    lanes.space(B, until=2.0, now=0.0)
    lanes.block([C], now=0.0)

    assert not any(admit(lanes, webhook_id, now=1.0) for webhook_id in (A, B, C))
    lanes.block([], now=3.0)
    assert all(admit(lanes, webhook_id, now=3.0) for webhook_id in (A, B, C))


def test_a_tenant_takes_no_more_than_its_share() -> None:
    lanes = lanes_of(slots=16, widest=16)
    widen(lanes, A)

    begun = sum(admit(lanes, A) for _ in range(16))

    assert 0 < begun < 16
    assert admit(lanes, B)


def test_a_host_takes_no_more_than_its_share() -> None:
    lanes = lanes_of(slots=30, widest=30)
    for webhook_id in (A, B):
        widen(lanes, webhook_id)
        admit(lanes, webhook_id)
        lanes.finished(webhook_id, took_ms=10.0, delivered=True, now=0.0, host=HOST)

    begun = sum(
        admit(lanes, webhook_id, host=HOST, tenant_id=TenantId(webhook_id))
        for _ in range(15)
        for webhook_id in (A, B)
    )

    assert begun == 20  # two thirds


def test_the_first_attempt_at_a_new_address_has_a_turn_which_locates_it() -> None:
    lanes = lanes_of()

    assert not admit(lanes, A, host=HOST)
    queue(lanes, A)
    [turn] = lanes.next_turns(now=0.0, room=10)
    lanes.dequeued(turn, taken=1, now=0.0, host=HOST)
    assert admit(lanes, A, host=HOST)
    assert not admit(lanes, A, host="192.0.2.2")
