"""Failed attempts are repeated as the schedule says, and count for their endpoint's health."""

from itertools import pairwise

from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import SHORT, nothing_leased, settled
from tests.support.receiver import Receiver, Reply


async def test_a_delivery_is_exhausted_after_the_six_attempts_of_its_schedule(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500, body=b"no")
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database, delivery=SHORT):
        await app.event(tenant, {"n": 1})
        await until(lambda: settled(app, webhook, "failed", 6))

    rows = await app.deliveries(webhook)
    waits = [later.at - earlier.at for earlier, later in pairwise(receiver.received)]
    assert [row["attempt_number"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert {row["status"] for row in rows} == {"failed"}
    assert {row["status_code"] for row in rows} == {500}
    assert {row["error_message"] for row in rows} == {
        "the receiver answered 500 Internal Server Error"
    }
    assert len({row["id"] for row in rows}) == 6
    assert len({request.body for request in receiver.received}) == 1
    assert all(wait >= 0.3 for wait in waits), waits
    assert (await app.health(webhook))["consecutive_failures"] == 6


async def test_a_retry_after_header_extends_the_wait_up_to_the_longest_of_the_schedule(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(
        429 if len(receiver.received) == 1 else 200, headers={"Retry-After": "3600"}
    )
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database, delivery={"retry_schedule": ["100ms", "900ms"]}):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))

    first, second = receiver.received
    assert second.at - first.at >= 0.9


async def test_an_endpoint_fails_at_five_and_is_paused_at_the_limit_with_a_notice_of_each_step(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(503)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database, delivery={"failing_backoff": "0s"}):
        await app.events(tenant, 130)
        await until(lambda: settled(app, webhook, "failed", 100))
        await until(lambda: nothing_leased(app))

    health = await app.health(webhook)
    assert await app.notices(webhook) == [
        "webhook_failing",
        "webhook_half_way",
        "webhook_nearly_paused",
        "webhook_paused",
    ]
    assert not health["is_active"]
    assert health["is_failing"]
    assert health["consecutive_failures"] >= 100
    assert health["paused_reason"] == "failures"


async def test_a_success_resets_the_count_of_failures(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500 if len(receiver.received) <= 5 else 200)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database, delivery=SHORT):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))

    health = await app.health(webhook)
    assert (health["consecutive_failures"], health["is_failing"]) == (0, False)
    assert await app.notices(webhook) == ["webhook_failing", "webhook_recovered"]


async def test_a_410_pauses_the_endpoint_at_once(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(410)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "failed", 1))

    assert not (await app.health(webhook))["is_active"]
    assert await app.notices(webhook) == ["webhook_gone"]
