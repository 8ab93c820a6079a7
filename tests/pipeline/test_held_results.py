"""Held results are tried by webhook, a bounded number at a time, at intervals that grow."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from daemon.core.model.attempts import AttemptResult, Claim, Outcome, Response, Verdict
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.core.scheduling.slow_tenants import FIRST_SECONDS, SlowTenants
from daemon.pipeline import held_results
from daemon.pipeline.held_results import (
    BYTES_KEPT,
    BYTES_OF_TENANT,
    LONGEST_PAUSE_SECONDS,
    MOST_OF_TENANT,
    HeldResults,
)
from daemon.pipeline.waiting_results import MOST_BYTES


class Clock:
    """The time in seconds that the module under test reads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(held_results, "time", SimpleNamespace(monotonic=lambda: self.now))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def slow() -> SlowTenants:
    return SlowTenants(slow_from=1)


@pytest.fixture
def held(clock: Clock, slow: SlowTenants) -> HeldResults:
    unused = cast("Any", None)  # only `prolong` asks the database
    return HeldResults(unused, lease=timedelta(seconds=30), slow=slow)


def results(
    webhook: WebhookId, count: int, tenant: TenantId | None = None, *, size: int = 0
) -> list[AttemptResult]:
    """Results of first attempts, half of their `size` in the data and half in the response."""
    tenant = tenant or TenantId(uuid4())
    now = datetime.now(UTC)
    return [
        AttemptResult(
            Claim(
                delivery_id=DeliveryId(uuid4()),
                webhook_id=webhook,
                tenant_id=tenant,
                event_id=EventId(uuid4()),
                event_type="",
                event_created_at=now,
                data="x" * (size // 2),
                attempt=1,
                claimed_at=now,
                leased_until=now,
                endpoint_url="",
                secrets=cast("Any", None),
                payload_bytes=size // 2,
                from_inbox=True,
            ),
            Outcome(Response(200, (), "y" * (size // 2)), took_ms=1),
            Verdict(delivered=True, status=200, error=None, retry_in=None),
            None,
        )
        for _ in range(count)
    ]


def new_webhook() -> WebhookId:
    return WebhookId(uuid4())


def test_a_try_takes_no_more_than_its_limit_and_another_the_rest_at_once(
    clock: Clock, held: HeldResults
) -> None:
    kept = results(new_webhook(), 7)
    held.add(kept)
    clock.now += 1
    taken = []
    while some := held.take_due(3):
        taken.append(some)
        held.end_try()

    assert [len(some) for some in taken] == [3, 3, 1]
    assert [each for some in taken for each in some] == kept
    assert not held.webhook_ids


def test_the_pauses_of_a_webhook_that_stays_locked_grow_up_to_a_bound(
    clock: Clock, held: HeldResults
) -> None:
    held.add(results(new_webhook(), 2))
    pauses: list[float] = []
    tried_at = clock.now
    while len(pauses) < 12:
        clock.now += 0.01
        if some := held.take_due(10):
            held.add(some)
            held.end_try()
            pauses.append(clock.now - tried_at)
            tried_at = clock.now

    assert pauses == sorted(pauses)
    assert pauses[-1] == pytest.approx(LONGEST_PAUSE_SECONDS, abs=0.02)
    assert len(held) == 2


def test_results_of_a_held_webhook_and_of_a_slow_tenant_join(
    clock: Clock, held: HeldResults, slow: SlowTenants
) -> None:
    first, of_same, of_slow, other = [results(new_webhook(), 2) for _ in range(4)]
    held.add(first[:1])
    held.add(of_same[:1])
    slow.note(of_slow[0].claim.tenant_id, 1, now=clock.now)

    assert all(map(held.belongs, [*first, *of_same, *of_slow]))
    assert not any(map(held.belongs, other))
    clock.now += 2 * FIRST_SECONDS
    assert not any(map(held.belongs, of_slow))


def test_webhooks_that_stay_locked_leave_turns_to_others(clock: Clock, held: HeldResults) -> None:
    for _ in range(10):
        held.add(results(new_webhook(), 1))
    released = new_webhook()
    held.add(results(released, 1))
    tried: list[WebhookId] = []
    while released in held.webhook_ids:
        clock.now += 0.1
        some = held.take_due(2)
        tried += [each.claim.webhook_id for each in some]
        held.add(each for each in some if each.claim.webhook_id != released)
        held.end_try()

    assert len(tried) < 25


def test_results_that_join_while_others_are_tried_are_tried_next(
    clock: Clock, held: HeldResults
) -> None:
    webhook = new_webhook()
    held.add(results(webhook, 1))
    clock.now += 1
    held.take_due(10)
    held.end_try()
    held.add(later := results(webhook, 1))
    clock.now += 1

    assert held.take_due(10) == later


def test_the_age_of_several_tenants_is_that_of_the_second(clock: Clock, held: HeldResults) -> None:
    tenant = TenantId(uuid4())
    held.add(results(new_webhook(), 1, tenant))
    clock.now += 10
    held.add(results(new_webhook(), 1, tenant))
    clock.now += 10
    alone = held.several_tenants_seconds()
    held.add(results(new_webhook(), 1))
    clock.now += 5

    assert alone == 0.0
    assert held.several_tenants_seconds() == 5.0
    assert held.oldest_seconds() == 25.0


def kept_whole(held: HeldResults, clock: Clock) -> list[AttemptResult]:
    """Take all; return those that have their data and their response."""
    clock.now += 10
    whole: list[AttemptResult] = []
    while some := held.take_due(100):
        for each in some:
            assert isinstance(each.outcome.result, Response)
            assert bool(each.claim.data) is bool(each.outcome.result.body)
            assert (each.outcome.result.status, each.verdict.delivered) == (200, True)
        whole += [each for each in some if each.claim.data]
        held.end_try()
    return whole


def test_a_tenants_results_beyond_its_bytes_are_kept_without_data_and_response(
    clock: Clock, held: HeldResults
) -> None:
    size, tenant = BYTES_OF_TENANT // 4, TenantId(uuid4())
    for _ in range(10):
        held.add(results(new_webhook(), 1, tenant, size=size))
    held.add(own := results(new_webhook(), 1, size=size))

    whole = kept_whole(held, clock)

    assert len(whole) == 5
    assert own[0] in whole
    held.add(again := results(new_webhook(), 4, tenant, size=size))
    assert kept_whole(held, clock) == again  # what was taken counts no more


def test_results_of_all_tenants_have_a_bound_together(clock: Clock, held: HeldResults) -> None:
    count = 2 * BYTES_KEPT // BYTES_OF_TENANT
    for _ in range(count):
        held.add(results(new_webhook(), 1, size=BYTES_OF_TENANT))

    assert len(held) == count
    assert len(kept_whole(held, clock)) == count // 2


def test_a_try_takes_a_bounded_number_of_bytes(clock: Clock, held: HeldResults) -> None:
    one, other = new_webhook(), new_webhook()
    kept = [replace_size(each, MOST_BYTES // 2) for each in results(one, 3)]
    kept += [replace_size(each, 3 * MOST_BYTES) for each in results(other, 1)]
    for each in kept:
        held.add([each])
        clock.now += 0.01
    clock.now += 1
    taken = []
    while some := held.take_due(20):
        taken.append(some)
        held.end_try()

    assert sorted(map(len, taken)) == [1, 1, 2]
    assert {each.claim.delivery_id for some in taken for each in some} == {
        each.claim.delivery_id for each in kept
    }


def test_a_tenant_with_many_held_results_is_full_until_half_of_them_are_stored(
    clock: Clock, held: HeldResults
) -> None:
    tenant = TenantId(uuid4())
    for _ in range(MOST_OF_TENANT - 1):
        held.add(results(new_webhook(), 1, tenant))
    held.add(results(new_webhook(), 1))
    assert not held.full_tenants
    held.add(results(new_webhook(), 1, tenant))
    full = [held.full_tenants]
    clock.now += 1
    for _ in range(2):
        held.take_due(MOST_OF_TENANT // 2)
        held.end_try()
        full.append(held.full_tenants)

    assert full[0] == {tenant}
    assert full[-1] == set()


def replace_size(result: AttemptResult, size: int) -> AttemptResult:
    """A claimed attempt's result, whose row has so many bytes of data."""
    return replace(
        result, claim=replace(result.claim, payload_bytes=size, data=None, from_inbox=False)
    )
