"""The queue of first attempts: in order, and bounded by tenant and in all."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from daemon.core.model.attempts import Claim
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.core.model.secrets import StoredSecrets
from daemon.pipeline import attempt_queue
from daemon.pipeline.attempt_queue import (
    ENOUGH_QUEUED,
    FEW_OF_TENANT,
    FEW_QUEUED,
    MOST_BYTES_OF_TENANT,
    AttemptQueue,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WEBHOOK, TENANT, OTHER = WebhookId(uuid4()), TenantId(uuid4()), TenantId(uuid4())


def claim(*, size: int = 10, tenant_id: TenantId = TENANT, webhook: WebhookId = WEBHOOK) -> Claim:
    url = "https://receiver.example/"
    return Claim(
        *(DeliveryId(uuid4()), webhook, tenant_id, EventId(uuid4()), "email.opened", NOW, "{}"),
        attempt=1,
        claimed_at=NOW,
        leased_until=NOW,
        endpoint_url=url,
        secrets=StoredSecrets(webhook, "whsec_secret", endpoint_url=url),
        payload_bytes=size,
        from_inbox=True,
    )


def test_attempts_are_taken_in_order_and_by_webhook() -> None:
    queue = AttemptQueue()
    first, second, other = claim(), claim(), claim(webhook=WebhookId(uuid4()))
    for each in (first, other, second):
        queue.add(each, now=0.0)

    assert queue.take(WEBHOOK, 1) == [first]
    assert queue.take(WEBHOOK, 5) == [second]
    assert queue.take(WEBHOOK, 5) == []
    assert len(queue) == queue.of_tenant(TENANT) == 1


def test_old_attempts_are_taken_out_and_younger_ones_stay() -> None:
    queue = AttemptQueue()
    old, young = claim(), claim()
    queue.add(old, now=1.0)
    queue.add(young, now=2.0)

    assert list(queue.take_older(1.5)) == [(WEBHOOK, [old])]
    assert list(queue.take_older(1.5)) == []
    assert queue.take(WEBHOOK, 5) == [young]


def test_a_tenant_that_has_its_share_leaves_room_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempt_queue, "MOST_OF_TENANT", 2)
    queue = AttemptQueue()
    for _ in range(2):
        queue.add(claim(), now=0.0)

    assert not queue.has_room(TENANT, 1)
    assert queue.has_room(OTHER, 1)
    queue.take(WEBHOOK, 1)
    assert queue.has_room(TENANT, 1)


def test_the_bytes_of_a_tenant_are_bounded_up_to_the_last() -> None:
    queue = AttemptQueue()
    queue.add(claim(size=MOST_BYTES_OF_TENANT - 100), now=0.0)

    assert queue.has_room(TENANT, 100)
    assert not queue.has_room(TENANT, 101)
    assert queue.has_room(OTHER, MOST_BYTES_OF_TENANT)
    assert not queue.has_room(OTHER, MOST_BYTES_OF_TENANT + 1)


def test_enough_in_all_hold_back_the_tenants_that_they_are_of() -> None:
    queue = AttemptQueue()
    for _ in range(FEW_OF_TENANT):
        queue.add(claim(tenant_id=OTHER), now=0.0)
    for _ in range(ENOUGH_QUEUED - FEW_OF_TENANT - 1):
        queue.add(claim(), now=0.0)
    before = queue.crowded
    queue.add(claim(), now=0.0)

    assert (before, queue.crowded) == (set(), {TENANT})


def test_with_many_tenants_fewer_of_each_are_enough() -> None:
    queue = AttemptQueue()
    tenants = [TenantId(uuid4()) for _ in range(ENOUGH_QUEUED // 2)]
    for tenant_id in tenants * 2:
        queue.add(claim(tenant_id=tenant_id), now=0.0)
    before = queue.crowded
    queue.add(claim(tenant_id=tenants[0]), now=0.0)

    assert (before, queue.crowded) == (set(), {tenants[0]})


def test_it_knows_how_many_begin_soon_from_the_rate_of_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 10.0
    monkeypatch.setattr("daemon.pipeline.attempt_queue.time.monotonic", lambda: now)
    queue = AttemptQueue()
    at_first = queue.soon
    for _ in range(20):
        for _ in range(100):
            queue.add(claim(), now=now)
        now += 0.1
        queue.take(WEBHOOK, 100)  # 1,000 a second

    assert at_first == attempt_queue.FEW_QUEUED
    assert 190 <= queue.soon <= 200


def test_attempts_that_wait_for_long_hold_back_the_tenant_that_they_are_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("daemon.pipeline.attempt_queue.time.monotonic", lambda: 10.0)
    queue = AttemptQueue()
    for number in range(attempt_queue.FEW_QUEUED + 2):
        queue.add(replace(claim(), attempt=number), now=9.0 if number == 0 else 9.95)
    queue.add(claim(tenant_id=OTHER, webhook=WebhookId(uuid4())), now=9.95)

    queue.take(WEBHOOK, 1)
    after_a_long_wait = queue.crowded
    queue.take(WEBHOOK, 1)

    assert (after_a_long_wait, queue.crowded) == ({TENANT}, set())


def test_while_attempts_wait_for_long_many_tenants_have_few_of_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 10.0
    monkeypatch.setattr("daemon.pipeline.attempt_queue.time.monotonic", lambda: now)
    queue = AttemptQueue()
    tenants = [TenantId(uuid4()) for _ in range(FEW_QUEUED // 2)]
    for tenant_id in tenants * 4:
        queue.add(claim(tenant_id=tenant_id, webhook=WebhookId(uuid4())), now=9.95)
    before = queue.crowded
    queue.add(claim(tenant_id=TENANT), now=9.8)

    queue.take(WEBHOOK, 1)

    assert (before, queue.crowded) == (set(), set(tenants))
