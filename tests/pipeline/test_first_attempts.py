"""First attempts are made from the inbox, and their results are the only rows."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from daemon.pipeline import attempt_queue, fanout, first_attempts, health_writer
from daemon.pipeline.delivery_inserter import DeliveryInserter, MatchedEvent
from daemon.store import claims, plain_results
from daemon.store.deliveries import Inserted
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import inbox_is_empty, insert_delivery, nothing_pending, settled
from tests.support.first_attempts import ONE_AT_A_TIME, Gate, publish, times
from tests.support.receiver import Receiver, Reply, receiving

WRITES = """
    SELECT sum(n_tup_ins)::int AS inserted, sum(n_tup_upd)::int AS updated,
           sum(n_tup_del)::int AS deleted
      FROM pg_stat_user_tables WHERE relname LIKE 'webhook_deliveries%'
"""


@pytest.fixture
def patient_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits in memory stays there for longer than a test takes."""
    monkeypatch.setattr(first_attempts, "QUEUED_SECONDS", 60.0)


async def test_a_delivered_event_costs_one_row_version(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    async with serving(database):
        for number in range(5):
            await app.event(tenant, {"n": number})
            await until(lambda n=number: settled(app, webhook, "success", n + 1))

    async def counted() -> bool:
        await app.db.execute("SELECT pg_stat_clear_snapshot()")
        return bool((await app.db.fetchrow(WRITES))["inserted"] == 5)

    await until(counted)
    assert dict(await app.db.fetchrow(WRITES)) == {"inserted": 5, "updated": 0, "deleted": 0}
    assert await inbox_is_empty(app)


@pytest.mark.parametrize(("seconds", "written"), [(3600.0, 1), (0.0, 3)])
async def test_a_success_of_a_healthy_endpoint_is_noted_once_in_a_while(
    *,
    app: Application,
    database: str,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    written: int,
) -> None:
    monkeypatch.setattr(health_writer, "LAST_SUCCESS_SECONDS", seconds)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    times_noted = set()
    async with serving(database):
        for number in range(3):
            await app.event(tenant, {"n": number})
            await until(lambda n=number: settled(app, webhook, "success", n + 1))
            times_noted.add((await app.health(webhook))["last_success_at"])

    assert len(times_noted) == written
    assert None not in times_noted


async def test_the_row_of_a_first_attempt_has_what_a_claimed_one_has(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(headers={"X-Answer": "a"}, body='{"ok": "yés"}'.encode())
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    text = '{"n": 1, "price": 1.10, "name": "Zoë", "big": 12345678901234567890123}'
    async with serving(database):
        await app.event(tenant, text=text)
        await until(lambda: settled(app, webhook, "success", 1))
        [first] = await app.deliveries(webhook)
        await app.db.execute(
            "INSERT INTO webhook_deliveries (webhook_id, event_id, event_type, payload)"
            " SELECT $1, event_id, event_type, payload FROM webhook_deliveries",
            webhook,
        )
        await until(lambda: settled(app, webhook, "success", 2))

    [claimed] = [each for each in await app.deliveries(webhook) if each["id"] != first["id"]]
    own = {"id", "duration_ms", "attempted_at", "trace", "payload_bytes"}
    assert {k: v for k, v in first.items() if k not in own} == {
        k: v for k, v in claimed.items() if k not in own
    }
    assert [each.body for each in receiver.received] == [receiver.received[0].body] * 2


async def test_a_first_attempt_that_fails_is_retried_on_schedule(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500 if len(receiver.received) == 1 else 200)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    async with serving(database, delivery={"retry_schedule": ["50ms"]}):
        await app.event(tenant, {"n": 0})
        await until(lambda: settled(app, webhook, "success", 1))

    found = [(row["attempt_number"], row["status"]) for row in await app.deliveries(webhook)]
    assert found == [(1, "failed"), (2, "success")]
    assert receiver.received[1].at - receiver.received[0].at >= 0.05


async def test_what_waits_in_memory_becomes_rows_when_its_turn_does_not_come(
    app: Application, database: str, receiver: Receiver
) -> None:
    gate = Gate(receiver, first=Reply(after=2.0))
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    async with serving(database, delivery=ONE_AT_A_TIME):
        await publish(app, tenant, 5)
        await until(lambda: settled(app, webhook, "pending_retry", 4))
        gate.open()
        await until(lambda: settled(app, webhook, "success", 5))

    assert times(receiver, "/hook") == dict.fromkeys(range(5), 1)
    assert await inbox_is_empty(app)


@pytest.mark.parametrize("status", [200, 410])
async def test_a_pause_keeps_what_waits_in_memory(
    app: Application, database: str, receiver: Receiver, status: int
) -> None:
    # A person pauses it during the first attempt, or that attempt is answered with 410 Gone.
    gate = Gate(receiver, first=Reply(status, after=0.3))
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    async with serving(database, delivery=ONE_AT_A_TIME | {"retry_schedule": []}):
        await publish(app, tenant, 5)
        await until(lambda: receiver.received)
        if status == 200:
            await app.db.execute("UPDATE webhooks SET is_active = FALSE WHERE id = $1", webhook)
        gate.open()
        await until(lambda: inbox_is_empty(app))
        while_paused = len(receiver.received)
        waiting = await app.db.fetchval(
            "SELECT count(*) FROM webhook_deliveries WHERE status = 'pending_retry'"
        )
        await app.db.execute("UPDATE webhooks SET is_active = TRUE WHERE id = $1", webhook)
        await until(lambda: nothing_pending(app))

    assert while_paused + waiting == 5
    assert times(receiver, "/hook") == dict.fromkeys(range(5), 1)


async def test_a_gone_endpoint_gets_nothing_more_from_memory(
    app: Application, database: str, receiver: Receiver, patient_queue: None
) -> None:
    receiver.answer = lambda _: Reply(410)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    async with serving(database, delivery=ONE_AT_A_TIME):
        await publish(app, tenant, 20)
        await until(lambda: settled(app, webhook, "failed", 1))
        await asyncio.sleep(0.2)

    assert len(receiver.received) == 1
    assert not (await app.health(webhook))["is_active"]


async def test_first_attempts_do_not_wait_for_a_claim_that_takes_long(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, begun, ended = claims.claim, asyncio.Event(), asyncio.Event()

    async def claim(*args: Any, **options: Any) -> Any:
        begun.set()
        await ended.wait()
        return await original(*args, **options)

    monkeypatch.setattr(claims, "claim", claim)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    due = await app.webhook(await app.tenant(), receiver.url + "/due")
    await insert_delivery(app, due, next_retry_at=datetime.now(UTC))
    async with serving(database):
        await begun.wait()
        await publish(app, tenant, 2)  # a new endpoint's window
        await until(lambda: settled(app, webhook, "success", 2))
        claimed_meanwhile = len(receiver.at("/due"))
        ended.set()
        await until(lambda: settled(app, due, "success", 1))

    assert claimed_meanwhile == 0


async def test_a_tenant_with_many_deliveries_to_insert_delays_no_other(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, ended = DeliveryInserter.insert, asyncio.Event()
    monkeypatch.setattr(fanout, "TENANT_DELIVERIES", 5)

    async def insert(
        self: DeliveryInserter, matched: Sequence[MatchedEvent], **options: Any
    ) -> Inserted:
        if sum(len(each.webhooks) for each in matched) > 5:
            await ended.wait()
        return await original(self, matched, **options)

    monkeypatch.setattr(DeliveryInserter, "insert", insert)
    crowded, other = await app.tenant(), await app.tenant()
    for number in range(4):
        await app.webhook(crowded, f"{receiver.url}/crowd/{number}")
    webhook = await app.webhook(other, receiver.url + "/hook")
    async with serving(database, delivery=ONE_AT_A_TIME):
        await publish(app, crowded, 5)
        await until(lambda: sum(len(receiver.at(f"/crowd/{n}")) for n in range(4)) > 0)
        await publish(app, other, 3)
        await until(lambda: settled(app, webhook, "success", 3))
        ended.set()
        await until(lambda: inbox_is_empty(app))
        await until(lambda: nothing_pending(app))

    for number in range(4):
        assert times(receiver, f"/crowd/{number}") == dict.fromkeys(range(5), 1)


async def test_a_tenant_whose_attempts_wait_in_memory_holds_back_no_other(
    app: Application,
    database: str,
    receiver: Receiver,
    patient_queue: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempt_queue, "ENOUGH_QUEUED", 20)
    opened = asyncio.Event()
    crowded, other = await app.tenant(), await app.tenant()
    webhook = await app.webhook(crowded, receiver.url + "/crowd")
    delivery = ONE_AT_A_TIME | {"timeout": "30s"}
    async with receiving(address="127.0.0.2") as healthy, serving(database, delivery=delivery):
        await app.webhook(other, healthy.url + "/hook")
        await publish(app, crowded, 5)
        await until(lambda: settled(app, webhook, "success", 5))
        receiver.answer = lambda _: Reply(when=opened)
        await publish(app, crowded, 40, first=5)
        await until(lambda: receiver.open_now)
        for n in range(10):
            await app.event(other)
            await until(lambda n=n: len(healthy.received) == n + 1)
        received_before = len(receiver.received)
        opened.set()
        await until(lambda: settled(app, webhook, "success", 45))

    assert received_before == 6
    assert times(receiver, "/crowd") == dict.fromkeys(range(45), 1)


async def test_a_single_result_is_stored_durably_by_one_statement(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, durable = plain_results.store_plain, list[str]()

    async def store_plain(db: Any, *args: Any, **options: Any) -> Any:
        await db.execute("BEGIN")  # a setting of the transaction is that of its commit
        stored = await original(db, *args, **options)
        durable.append(await db.fetchval("SHOW synchronous_commit"))
        await db.execute("COMMIT")
        return stored

    monkeypatch.setattr(plain_results, "store_plain", store_plain)
    webhook = await app.webhook(tenant := await app.tenant(), receiver.url + "/hook")
    async with serving(database):
        await publish(app, tenant, 1)
        await until(lambda: settled(app, webhook, "success", 1))

    assert durable == ["on"]
    assert (await app.health(webhook))["last_success_at"] is not None
    assert await inbox_is_empty(app)


async def test_a_single_result_of_a_webhook_that_is_locked_is_stored_later(
    app: Application, database: str, receiver: Receiver
) -> None:
    webhook = await app.webhook(tenant := await app.tenant(), receiver.url + "/hook")
    other = await asyncpg.connect(database)
    async with serving(database):
        async with other.transaction():
            await other.execute("SELECT FROM webhooks WHERE id = $1 FOR UPDATE", webhook)
            await publish(app, tenant, 1)
            await until(lambda: receiver.received)
            await asyncio.sleep(0.3)
            stored_meanwhile = await app.deliveries(webhook)
        await until(lambda: settled(app, webhook, "success", 1))
        await until(lambda: inbox_is_empty(app))
    await other.close()

    assert stored_meanwhile == []
    assert times(receiver, "/hook") == {0: 1}
