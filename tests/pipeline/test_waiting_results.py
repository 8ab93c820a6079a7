"""Results wait by tenant, and a transaction takes some of each, of a bounded number of bytes."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

from daemon.core.model.attempts import AttemptResult, Claim, Outcome, Response, Verdict
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.pipeline.waiting_results import MOST_BYTES, WaitingResults

NOW = datetime(2025, 1, 1, tzinfo=UTC)
LARGE = MOST_BYTES // 2 - 1000


def result(
    tenant: int, size: int, *, body: str = "", failed: bool = False, too_large: bool = False
) -> AttemptResult:
    """A result of a delivery with `size` bytes of data."""
    claim = Claim(
        delivery_id=DeliveryId(uuid4()),
        webhook_id=WebhookId(UUID(int=tenant)),
        tenant_id=TenantId(UUID(int=tenant)),
        event_id=EventId(uuid4()),
        event_type="",
        event_created_at=NOW,
        data=None,
        attempt=1,
        claimed_at=NOW,
        leased_until=NOW,
        endpoint_url="",
        secrets=cast("Any", None),
        payload_bytes=size,
    )
    retry_in = timedelta(minutes=1) if failed else None
    verdict = Verdict(
        delivered=not failed, status=200, error=None, retry_in=retry_in, too_large=too_large
    )
    return AttemptResult(claim, Outcome(Response(200, (), body), took_ms=1), verdict, None)


def taken(waiting: WaitingResults, most: int = 500) -> list[AttemptResult]:
    return [each.result for each in waiting.take(most)]


def test_small_results_of_others_are_in_the_next_transaction_whatever_waits_before_them() -> None:
    waiting = WaitingResults()
    large = [result(1, LARGE) for _ in range(6)]
    small = [result(tenant, 100) for tenant in (2, 3) for _ in range(2)]
    for each in (*large, *small):
        waiting.add(each)

    first, second, third = taken(waiting), taken(waiting), taken(waiting)

    assert first == [large[0], small[0], small[2], large[1], small[1], small[3]]
    assert (second, third) == (large[2:4], large[4:])
    assert len(waiting) == 0
    assert waiting.oldest() is None


def test_responses_and_next_attempts_count_and_one_result_is_never_too_large() -> None:
    waiting = WaitingResults()
    retried = [result(1, LARGE, failed=True) for _ in range(2)]
    answered = [result(2, LARGE, body="x" * 1001) for _ in range(2)]
    huge = result(3, 3 * MOST_BYTES)
    refused = [result(4, size, too_large=True) for size in (2**62, MOST_BYTES // 4, 100, 200)]
    for each in (*retried, *answered, huge, *refused):
        waiting.add(each)

    batches = []
    while waiting:
        batches.append(taken(waiting))

    alone = [[each] for each in (*retried, huge, *refused[:2])]
    assert all(batch == [each] for batch in batches for each in batch if [each] in alone)
    stored = {id(each) for batch in batches for each in batch}
    assert stored == {id(each) for each in (*retried, *answered, huge, *refused)}


def test_results_that_are_put_back_keep_their_order_and_their_age() -> None:
    waiting = WaitingResults()
    kept = [result(1, 10) for _ in range(5)]
    for each in kept:
        waiting.add(each)
    since = waiting.oldest()
    first = waiting.take(3)
    waiting.put_back(first)

    assert waiting.oldest() == since
    assert len(waiting) == 5
    assert taken(waiting, 4) == kept[:4]


def test_what_was_taken_counts_for_its_tenant_until_the_turn_ends() -> None:
    waiting = WaitingResults()
    for tenant in (1, 1, 2):
        waiting.add(result(tenant, 10))
    tenants = [TenantId(UUID(int=n)) for n in (1, 2, 3)]
    taken = waiting.take(3)
    waiting.add(result(2, 10))
    during = [waiting.of_tenant(each) for each in tenants]
    waiting.put_back(taken)
    waiting.end_turn()

    assert during == [2, 2, 0]
    assert [waiting.of_tenant(each) for each in tenants] == [2, 2, 0]
