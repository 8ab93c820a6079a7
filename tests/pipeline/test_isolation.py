"""A slow endpoint, or a row that another transaction locks, delays no other endpoint."""

import asyncpg
import pytest

from daemon.pipeline import held_results, result_writer
from daemon.service import Service
from tests.support.application import Application
from tests.support.daemons import metrics_of, serving, until
from tests.support.deliveries import settled
from tests.support.foreign_rows import Held
from tests.support.receiver import Receiver, Reply


async def test_a_backlog_of_one_slow_endpoint_delays_no_other(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda request: Reply(after=4.9 if request.path == "/slow" else 0)
    tenant = await app.tenant()
    slow = await app.webhook(tenant, receiver.url + "/slow", types=["slow"])
    await app.webhook(tenant, receiver.url + "/quick", types=["email.opened"])
    await app.db.execute(
        "INSERT INTO webhook_deliveries (webhook_id, event_id, event_type, payload, status)"
        " SELECT $1, gen_random_uuid(), 'slow', '{}', 'pending_retry'"
        " FROM generate_series(1, 2000)",
        slow,
    )
    async with serving(database, delivery={"drain": "0s"}):
        await until(lambda: len(receiver.at("/slow")) >= 2)
        await app.event(tenant)
        await until(lambda: len(receiver.at("/quick")) == 1, within=5)

    assert len(receiver.at("/slow")) < 40  # its window, not its backlog


async def test_a_locked_webhook_delays_the_events_of_no_other(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    locked = await app.webhook(tenant, receiver.url + "/locked")
    free = await app.webhook(tenant, receiver.url + "/free")
    other = await asyncpg.connect(database)
    async with serving(database):
        transaction = other.transaction()
        await transaction.start()
        await other.execute("SELECT 1 FROM webhooks WHERE id = $1 FOR UPDATE", locked)
        for n in range(3):
            await app.event(tenant, {"n": n})
        await until(lambda: settled(app, free, "success", 3), within=5)
        untouched = await app.deliveries(locked)
        await transaction.rollback()
        await until(lambda: settled(app, locked, "success", 3), within=5)
    await other.close()

    assert untouched == []
    assert len(receiver.received) == 6


async def test_results_for_a_locked_webhook_are_stored_later_and_not_sent_again(
    app: Application, database: str, receiver: Receiver
) -> None:
    held = Held(receiver)
    tenant = await app.tenant()
    locked = await app.webhook(tenant, receiver.url + "/held", types=["locked"])
    free = await app.webhook(tenant, receiver.url + "/free", types=["free"])
    other = await asyncpg.connect(database)
    async with serving(database):
        await app.event(tenant, type="locked")
        await held.ids(1)
        transaction = other.transaction()
        await transaction.start()
        await other.execute("SELECT FROM webhooks WHERE id = $1 FOR UPDATE", locked)
        held.release()
        await until(lambda: receiver.open_now == 0)
        await app.event(tenant, type="free")
        await until(lambda: settled(app, free, "success", 1), within=5)
        untouched = await app.deliveries(locked)
        await transaction.commit()
        await until(lambda: settled(app, locked, "success", 1), within=5)
    await other.close()

    assert untouched == []
    assert len(receiver.at("/held")) == 1


@pytest.mark.parametrize("few", [0, 8])
async def test_a_transaction_that_changes_a_webhook_delays_its_failures_and_no_success(
    app: Application,
    database: str,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    few: int,
) -> None:
    # Such as another daemon's, which stores results of the same webhook.
    monkeypatch.setattr(result_writer, "FEW", few)
    receiver.answer = lambda r: Reply(500 if b"fails" in r.body else 200)
    webhook = await app.webhook(tenant := await app.tenant(), receiver.url + "/hook")
    other = await asyncpg.connect(database)
    async with serving(database):
        transaction = other.transaction()
        await transaction.start()
        await other.execute("UPDATE webhooks SET consecutive_failures = 0 WHERE id = $1", webhook)
        for n in range(3):
            await app.event(tenant, {"n": n})
        await until(lambda: settled(app, webhook, "success", 3), within=5)
        await app.event(tenant, {"fails": True})
        await until(lambda: len(receiver.at("/hook")) == 4)
        await app.event(tenant, {"n": 3})  # behind the failure, which is held
        meanwhile = [each["status"] for each in await app.deliveries(webhook)]
        await transaction.commit()
        await until(lambda: settled(app, webhook, "success", 4), within=5)
    await other.close()

    assert meanwhile.count("success") == 3
    assert "failed" not in meanwhile
    statuses = [each["status"] for each in await app.deliveries(webhook)]
    assert sorted(statuses) == ["failed", "pending_retry", *["success"] * 4]


async def test_a_locked_webhook_does_not_occupy_all_slots(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    locked = await app.webhook(tenant, receiver.url + "/locked", types=["locked"])
    free = await app.webhook(tenant, receiver.url + "/free", types=["free"])
    for _ in range(200):
        await app.event(tenant, type="locked")
    other = await asyncpg.connect(database)
    transaction = other.transaction()
    async with serving(database, delivery={"concurrency": 16}):
        await until(lambda: settled(app, locked, "success", 1))
        await transaction.start()
        await other.execute("UPDATE webhooks SET name = 'x' WHERE id = $1", locked)
        for _ in range(100):
            await app.event(tenant, type="free")
        await until(lambda: settled(app, free, "success", 100), within=10)
        await transaction.commit()
        await until(lambda: settled(app, locked, "success", 200))
    await other.close()

    assert len(receiver.at("/locked")) == 200


async def test_results_for_locked_rows_are_stored_later_and_delay_no_others(
    app: Application, database: str, receiver: Receiver
) -> None:
    held = Held(receiver)
    tenant = await app.tenant()
    locked = await app.webhook(tenant, receiver.url + "/held", types=["locked"])
    free = await app.webhook(tenant, receiver.url + "/free", types=["free"])
    other = await asyncpg.connect(database)
    async with serving(database):
        await app.db.execute(
            "INSERT INTO webhook_deliveries (webhook_id, event_id, event_type, payload)"
            " VALUES ($1, gen_random_uuid(), 'locked', '{}')",
            locked,
        )
        await held.ids(1)
        transaction = other.transaction()
        await transaction.start()
        await other.execute("UPDATE webhook_deliveries SET error_message = 'seen by support'")
        held.release()
        await until(lambda: receiver.open_now == 0)
        for n in range(5):
            await app.event(tenant, type="free")
            await until(lambda n=n: settled(app, free, "success", n + 1), within=5)
        [row] = await app.deliveries(locked)
        await transaction.commit()
        await until(lambda: settled(app, locked, "success", 1), within=5)
    await other.close()

    assert row["status"] == "pending_retry"
    assert len(receiver.at("/held")) == 1


async def test_a_tenant_with_many_locked_webhooks_gets_no_more_attempts_until_they_are_free(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that lets deliveries be inserted, and stops the results."""
    monkeypatch.setattr(held_results, "MOST_OF_TENANT", 6)
    monkeypatch.setattr(held_results, "BYTES_OF_TENANT", 300)
    receiver.answer = lambda _: Reply(body=b"x" * 100)
    tenant = await app.tenant()
    crowd = [await app.webhook(tenant, f"{receiver.url}/crowd/{n}") for n in range(40)]
    free = await app.webhook(other_tenant := await app.tenant(), receiver.url + "/free")
    other = await asyncpg.connect(database)
    async with serving(database, delivery={"concurrency": 8}) as service:
        await other.execute("BEGIN")
        await other.execute("SELECT FROM webhooks WHERE tenant_id = $1 FOR UPDATE", tenant)
        await app.event(tenant, {"n": 1})
        await until(lambda: held_by(service, 6))
        for n in range(20):
            await app.event(other_tenant, {"n": n})
            await until(lambda n=n: settled(app, free, "success", n + 1), within=5)
        sent_meanwhile = len(receiver.received) - 20
        await other.execute("ROLLBACK")
        for webhook in crowd:
            await until(lambda w=webhook: settled(app, w, "success", 1))
    await other.close()

    assert 6 <= sent_meanwhile < 20
    assert len(receiver.received) == 60
    rows = [row for webhook in crowd for row in await app.deliveries(webhook)]
    assert {row["status_code"] for row in rows} == {200}
    assert sum(row["response_body"] == "" for row in rows) > 0


async def held_by(service: Service, count: int) -> bool:
    """Whether the daemon holds so many results."""
    page = await metrics_of(service)
    [line] = [each for each in page.splitlines() if each.startswith("webhookd_held_results ")]
    return float(line.split()[1]) >= count
