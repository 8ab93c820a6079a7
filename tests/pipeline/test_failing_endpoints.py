"""An endpoint that fails is tried more and more rarely, and a short outage pauses no webhook."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pytest

from daemon.core.model.ids import DeliveryId
from daemon.store.retries import retry_now
from tests.support.api_client import serving_api
from tests.support.application import Application
from tests.support.daemons import daemon, free_port, serving, until
from tests.support.deliveries import insert_delivery, nothing_leased, nothing_pending, settled
from tests.support.failing import Outage, set_failing
from tests.support.receiver import Received, Receiver, Reply

DUE = datetime(2025, 1, 1, tzinfo=UTC)
# More than begin before both daemons know that the endpoint is failing.
BEFORE_SPACING = 12


def gaps(requests: list[Received]) -> list[float]:
    """Seconds between the arrivals of successive requests."""
    return [later.at - earlier.at for earlier, later in pairwise(requests)]


async def next_probe_at(app: Application, webhook: UUID) -> datetime | None:
    at: datetime | None = (await app.health(webhook))["next_probe_at"]
    return at


async def test_a_burst_of_events_into_a_short_outage_pauses_nobody_and_loses_nothing(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    # Attempts that are under way when the first ones fail will fail, too.
    settings = {"retry_schedule": ["200ms"] * 20, "per_endpoint": 32}
    async with serving(database, delivery=settings):
        await app.events(tenant, 100)  # which open the window
        await until(lambda: settled(app, webhook, "success", 100))
        outage = Outage(receiver)
        await app.events(tenant, 150)
        await until(lambda: outage.failed)
        asyncio.get_running_loop().call_later(2.0, setattr, outage, "over", True)
        await until(lambda: settled(app, webhook, "success", 250))
        await until(lambda: nothing_pending(app))

    health = await app.health(webhook)
    assert (health["is_active"], health["is_failing"]) == (True, False)
    assert (health["next_probe_at"], health["failing_since"], health["failed_probes"]) == (
        *(None, None),
        0,
    )
    assert len(outage.failed) < 150
    # On a busy machine, half of the failures that pause may come before the first are stored.
    notices = [each for each in await app.notices(webhook) if each != "webhook_half_way"]
    assert notices == ["webhook_failing", "webhook_recovered"]


@pytest.mark.full
async def test_two_daemons_together_space_the_attempts_to_an_endpoint_that_is_failing(
    app: Application, database: str, receiver: Receiver
) -> None:
    outage = Outage(receiver)
    outage.after = 0.05
    tenant = await app.tenant()
    await app.webhook(tenant, receiver.url)
    settings = {"failing_backoff": "250ms", "retry_schedule": []}
    async with serving(database, delivery=settings), serving(database, delivery=settings):
        await app.events(tenant, 200)
        await until(lambda: len(outage.failed) >= BEFORE_SPACING + 8)
        spaced = outage.failed[BEFORE_SPACING:]
        outage.over = True
        await until(lambda: nothing_pending(app))

    assert min(gaps(spaced)) >= 0.25
    assert len(outage.failed) < 40


async def test_the_wait_doubles_with_each_failed_attempt(
    app: Application, database: str, receiver: Receiver
) -> None:
    outage = Outage(receiver)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    settings = {"failing_after": 1, "concurrency": 1, "retry_schedule": []}
    async with serving(database, delivery=settings):
        await app.events(tenant, 10)
        await until(lambda: settled(app, webhook, "failed", 4))

    first, second, third = gaps(outage.failed[:4])
    assert (first >= 1, second >= 2, third >= 4) == (True, True, True)
    assert (await app.health(webhook))["failed_probes"] == 3


async def test_the_first_success_ends_the_spacing_at_once(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    await set_failing(app, webhook, probe_in=timedelta(0))
    async with serving(database, delivery={"failing_backoff": "1d"}):
        await app.events(tenant, 300)
        await until(lambda: settled(app, webhook, "success", 300))

    assert await next_probe_at(app, webhook) is None


async def test_a_resumed_webhook_waits_for_no_probe(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    await set_failing(app, webhook)
    await insert_delivery(app, webhook, next_retry_at=DUE)
    async with serving(database):
        await app.db.execute("UPDATE webhooks SET is_active = false WHERE id = $1", webhook)
        await app.db.execute("UPDATE webhooks SET is_active = true WHERE id = $1", webhook)
        await until(lambda: settled(app, webhook, "success", 1))

    health = await app.health(webhook)
    assert (health["next_probe_at"], health["failing_since"], health["failed_probes"]) == (
        *(None, None),
        0,
    )


async def test_without_spacing_an_endpoint_is_paused_at_exactly_its_number_of_failures(
    app: Application, database: str, receiver: Receiver
) -> None:
    outage = Outage(receiver)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    one_by_one = {"concurrency": 1, "per_endpoint": 1}
    async with serving(database, delivery={"failing_backoff": "0s", **one_by_one}):
        await app.events(tenant, 130)
        await until(lambda: settled(app, webhook, "failed", 100))
        await until(lambda: nothing_leased(app))

    health = await app.health(webhook)
    assert (health["is_active"], health["consecutive_failures"]) == (False, 100)
    assert health["next_probe_at"] is None
    assert len(outage.failed) == 100


async def test_manual_retries_go_at_once_and_nothing_else_goes_with_them(
    app: Application, database: str, receiver: Receiver
) -> None:
    outage = Outage(receiver)
    webhook = await app.webhook(await app.tenant(), receiver.url)
    await set_failing(app, webhook)
    rows = [await insert_delivery(app, webhook, next_retry_at=DUE) for _ in range(10)]
    async with serving(database, delivery={"retry_schedule": []}):
        for row in rows[5:8]:
            async with app.db.transaction():
                await retry_now(app.db, None, DeliveryId(row))
        await until(lambda: settled(app, webhook, "failed", 3))

    sent = {request.headers["x-penguinmails-delivery-id"] for request in outage.failed}
    assert sent == {str(row) for row in rows[5:8]}
    assert (await app.health(webhook))["requested_attempts"] is None


async def test_a_manual_retry_does_not_wait_for_a_probe_that_is_under_way(
    app: Application, database: str, receiver: Receiver
) -> None:
    outage = Outage(receiver)
    outage.after = 4.0
    webhook = await app.webhook(await app.tenant(), receiver.url)
    await set_failing(app, webhook, probe_in=timedelta(0))
    rows = [await insert_delivery(app, webhook, next_retry_at=DUE) for _ in range(2)]
    async with serving(database):
        await until(lambda: len(outage.failed) == 1)
        for row in rows:
            async with app.db.transaction():
                await retry_now(app.db, None, DeliveryId(row))
        await until(lambda: len(outage.failed) == 2)

        assert receiver.open_now == 2


async def test_a_test_event_goes_at_once(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    await set_failing(app, webhook)
    before = await next_probe_at(app, webhook)
    async with serving_api(database, tenant) as api:
        answer = await api.post(f"/api/webhooks/{webhook}/test")

    assert answer.status == 200
    assert await next_probe_at(app, webhook) == before


async def test_a_probe_that_a_killed_daemon_left_lapses_with_its_lease(
    app: Application, database: str, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.answer = lambda _: Reply(after=60.0)
    webhook = await app.webhook(await app.tenant(), receiver.url)
    await set_failing(app, webhook, probe_in=timedelta(0))
    for _ in range(2):
        await insert_delivery(app, webhook, next_retry_at=DUE)
    async with daemon(database, tmp_path, port=free_port()) as running:
        await until(lambda: receiver.received)
        await running.kill()
    [lease] = await app.db.fetch(
        "SELECT leased_until FROM webhook_deliveries WHERE leased_until IS NOT NULL"
    )
    assert await next_probe_at(app, webhook) == lease["leased_until"]

    receiver.answer = lambda _: Reply()
    async with serving(database):
        await app.db.execute("UPDATE webhook_deliveries SET leased_until = now()")
        await app.db.execute("UPDATE webhooks SET next_probe_at = now()")
        await until(lambda: settled(app, webhook, "success", 2))
