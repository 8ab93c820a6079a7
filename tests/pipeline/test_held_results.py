"""Held results are tried by webhook, a bounded number at a time, at intervals that grow."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from daemon.core.model.attempts import AttemptResult, Claim, Outcome, Response, Verdict
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.pipeline import held_results
from daemon.pipeline.held_results import LONGEST_PAUSE_SECONDS, HeldResults


class Clock:
    """The time in seconds that the module under test reads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(held_results, "time", SimpleNamespace(monotonic=lambda: self.now))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def held(clock: Clock) -> HeldResults:
    unused = cast("Any", None)  # only `prolong` asks the database
    return HeldResults(unused, unused, lease=timedelta(seconds=30))


def results(webhook: WebhookId, count: int, tenant: TenantId | None = None) -> list[AttemptResult]:
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
                data=None,
                attempt=1,
                claimed_at=now,
                leased_until=now,
                endpoint_url="",
                secrets=cast("Any", None),
            ),
            Outcome(Response(200, (), ""), took_ms=1),
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


def test_webhooks_that_stay_locked_leave_turns_to_others(clock: Clock, held: HeldResults) -> None:
    for _ in range(10):
        held.add(results(new_webhook(), 1))
    released = new_webhook()
    held.add(results(released, 1))
    tried: list[WebhookId] = []
    while held.has(released):
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
