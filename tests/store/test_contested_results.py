"""Rows with the ids of results, in the partition of the result or another."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from daemon.core.model.attempts import AttemptResult, Claim, Outcome, Response, Verdict
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.core.model.secrets import StoredSecrets
from daemon.store.contested_results import insert_contested
from daemon.store.partitioning import Layout
from tests.support.application import Application
from tests.support.deliveries import insert_delivery

NOW = datetime.now(UTC)


def first_result(tenant: UUID, webhook: UUID) -> AttemptResult:
    """The first attempt failed; the next one is due in a minute."""
    claim = Claim(
        delivery_id=DeliveryId(uuid4()),
        webhook_id=WebhookId(webhook),
        tenant_id=TenantId(tenant),
        event_id=EventId(uuid4()),
        event_type="email.opened",
        event_created_at=NOW,
        data="{}",
        attempt=1,
        claimed_at=NOW,
        leased_until=NOW,
        endpoint_url="https://example.com",
        secrets=StoredSecrets(WebhookId(webhook), "whsec_x", endpoint_url="https://example.com"),
        payload_bytes=2,
        from_inbox=True,
    )
    outcome = Outcome(Response(500, (), ""), took_ms=1)
    retry_in = timedelta(minutes=1)
    verdict = Verdict(delivered=False, status=500, error=None, retry_in=retry_in)
    return AttemptResult(claim, outcome, verdict, signature=None)


async def test_a_unique_index_of_the_application_ends_the_search_for_an_id(
    app: Application, layout: Layout
) -> None:
    webhook = await app.webhook(tenant := await app.tenant(), "https://example.com")
    await insert_delivery(app, webhook)
    table = "webhook_deliveries" + ("" if layout is Layout.PLAIN else "_pending")
    await app.db.execute(f"CREATE UNIQUE INDEX ON {table} (webhook_id)")

    async with asyncio.timeout(10):
        with pytest.raises(asyncpg.UniqueViolationError):
            async with app.db.transaction():
                await insert_contested(app.db, [first_result(tenant, webhook)], at=NOW)


@pytest.mark.parametrize("status", ["pending_retry", "unknown"])
async def test_a_result_that_was_stored_is_found_beside_foreign_rows_of_other_partitions(
    app: Application, layout: Layout, status: str
) -> None:
    webhook = await app.webhook(tenant := await app.tenant(), "https://example.com")
    result = first_result(tenant, webhook)
    own_id = result.claim.delivery_id
    async with app.db.transaction():
        first = await insert_contested(app.db, [result], at=NOW)
    if layout is not Layout.PLAIN:
        await insert_delivery(app, webhook, id=own_id, status=status)

    async with app.db.transaction():
        again = await insert_contested(app.db, [result], at=NOW)

    assert first.next_due == {result.claim.key: NOW + timedelta(minutes=1)}
    assert (again.next_due, again.renamed, again.locked) == ({}, {}, set())
    rows = await app.db.fetch(
        "SELECT FROM webhook_deliveries WHERE event_id = $1", result.claim.event_id
    )
    assert len(rows) == 2
