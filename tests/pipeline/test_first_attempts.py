"""First attempts are made from the inbox: each event arrives once, whatever ends in between."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from structlog.testing import capture_logs

from daemon.core.errors import STATEMENT_FAILURES, DatabaseUnavailableError
from daemon.pipeline import fanout, first_attempts, result_writer
from daemon.pipeline.delivery_inserter import DeliveryInserter, MatchedEvent
from daemon.store import claims, plain_results, results
from daemon.store.deliveries import Inserted
from tests.support.application import Application
from tests.support.daemons import daemon, free_port, serving, until
from tests.support.deliveries import insert_delivery, nothing_pending, settled
from tests.support.receiver import Received, Receiver, Reply

COUNT_INBOX = "SELECT count(*) FROM webhook_event_inbox"
WRITES = """
    SELECT n_tup_ins AS inserted, n_tup_upd AS updated, n_tup_del AS deleted
      FROM pg_stat_user_tables WHERE relname = 'webhook_deliveries'
"""
# Attempts are made one at a time, so that all others wait in memory.
ONE_AT_A_TIME = {"per_endpoint": 1}


async def inbox_is_empty(app: Application) -> bool:
    return bool(await app.db.fetchval(COUNT_INBOX) == 0)


def times(receiver: Receiver, path: str) -> Counter[int]:
    """How often each event's number came to this path."""
    return Counter(each.event["data"]["n"] for each in receiver.at(path))


async def publish(app: Application, tenant: UUID, count: int, *, first: int = 0) -> None:
    """Commit events with numbers, from `first` on, in one transaction."""
    async with app.db.transaction():
        for number in range(first, first + count):
            await app.event(tenant, {"n": number})


class Gate:
    """The receiver's first responses wait until the gate is opened."""

    def __init__(self, receiver: Receiver, *, first: Reply) -> None:
        self._opened = asyncio.Event()
        self._first = first
        receiver.answer = self._answer

    def open(self) -> None:
        self._opened.set()

    def _answer(self, _: Received) -> Reply:
        return Reply() if self._opened.is_set() else self._first


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
    monkeypatch.setattr(result_writer, "LAST_SUCCESS_SECONDS", seconds)
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


async def test_events_in_memory_outlive_a_kill_and_a_pause(
    app: Application, database: str, receiver: Receiver, tmp_path: Path
) -> None:
    gate = Gate(receiver, first=Reply(after=30.0))
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    settings = "[delivery]\nper_endpoint = 1\n"
    async with daemon(database, tmp_path, port=free_port(), settings=settings) as first:
        await publish(app, tenant, 5)
        await until(lambda: receiver.received)
        await first.kill()
    await app.db.execute("UPDATE webhooks SET is_active = FALSE WHERE id = $1", webhook)
    gate.open()
    async with daemon(database, tmp_path, port=free_port(), settings=settings):
        await until(lambda: inbox_is_empty(app))
        while_paused = len(receiver.received)
        await app.db.execute("UPDATE webhooks SET is_active = TRUE WHERE id = $1", webhook)
        await until(lambda: settled(app, webhook, "success", 5))

    # The one that was in flight when the daemon was killed is repeated.
    assert while_paused == 1
    assert sorted(times(receiver, "/hook").values()) == [1, 1, 1, 1, 2]


async def test_a_kill_between_the_results_of_one_event_loses_and_repeats_nothing_else(
    app: Application, database: str, receiver: Receiver, tmp_path: Path
) -> None:
    hangs = True
    receiver.answer = lambda it: Reply(after=30.0 if it.path == "/slow" and hangs else 0.0)
    tenant = await app.tenant()
    quick = await app.webhook(tenant, receiver.url + "/quick")
    slow = await app.webhook(tenant, receiver.url + "/slow")
    async with daemon(database, tmp_path, port=free_port()) as first:
        await publish(app, tenant, 1)
        await until(lambda: settled(app, quick, "success", 1))
        await until(lambda: receiver.at("/slow"))
        await first.kill()
    kept = await app.db.fetchval(COUNT_INBOX)
    hangs = False
    async with daemon(database, tmp_path, port=free_port()):
        await until(lambda: settled(app, slow, "success", 1))
        await until(lambda: inbox_is_empty(app))

    assert kept == 1
    assert (times(receiver, "/quick")[0], times(receiver, "/slow")[0]) == (1, 2)
    assert len(await app.deliveries(quick)) == len(await app.deliveries(slow)) == 1


async def test_a_result_whose_event_another_daemon_has_taken_changes_nothing(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda it: Reply(after=0.5 if it.path == "/slow" else 0.0)
    tenant = await app.tenant()
    quick = await app.webhook(tenant, receiver.url + "/quick")
    slow = await app.webhook(tenant, receiver.url + "/slow")
    async with serving(database):
        await publish(app, tenant, 1)
        await until(lambda: settled(app, quick, "success", 1))
        # Not the last result of its event: the quick webhook's row is there already.
        await app.db.execute("UPDATE webhook_event_inbox SET leased_by = 1, leased_until = now()")
        await until(lambda: settled(app, slow, "success", 1))
        await until(lambda: inbox_is_empty(app))

    assert len(await app.deliveries(quick)) == len(await app.deliveries(slow)) == 1
    assert (times(receiver, "/quick")[0], times(receiver, "/slow")[0]) == (1, 2)


async def test_a_webhook_deleted_in_flight_fails_no_other_result(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda it: Reply(after=0.5)
    tenant = await app.tenant()
    kept = await app.webhook(tenant, receiver.url + "/kept")
    deleted = await app.webhook(tenant, receiver.url + "/deleted")
    async with serving(database):
        await publish(app, tenant, 2)
        await until(lambda: len(receiver.received) == 4)
        await app.db.execute("DELETE FROM webhooks WHERE id = $1", deleted)
        await until(lambda: settled(app, kept, "success", 2))
        await until(lambda: inbox_is_empty(app))

    assert await app.deliveries(deleted) == []
    assert times(receiver, "/kept") == {0: 1, 1: 1}


async def test_results_wait_for_a_webhook_that_another_transaction_holds(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    other = await app.webhook(tenant, receiver.url + "/other")
    async with serving(database):
        async with app.db.transaction():
            await app.db.execute("SELECT FROM webhooks WHERE id = $1 FOR UPDATE", webhook)
            second = Application(await asyncpg.connect(database))
            await second.event(tenant, {"n": 0})
            await until(lambda: settled(second, other, "success", 1))
            await until(lambda: receiver.at("/hook"))
            held = await settled(second, webhook, "success", 1)
        await until(lambda: settled(app, webhook, "success", 1))
        await until(lambda: inbox_is_empty(app))
        await second.db.close()

    assert not held
    assert times(receiver, "/hook") == {0: 1}


async def test_a_commit_whose_end_is_unknown_is_not_repeated(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are there already when the results are stored once more."""
    original = results.insert_first
    interrupted: list[bool] = []

    async def insert_and_commit(db, batch, **options):  # type: ignore[no-untyped-def]
        next_due = await original(db, batch, **options)
        if not interrupted:
            interrupted.append(True)
            await db.execute("COMMIT")
            raise OSError("the connection was lost")
        return next_due

    monkeypatch.setattr(results, "insert_first", insert_and_commit)
    receiver.answer = lambda it: Reply(after=0.5 if it.path == "/slow" else 0.0)
    tenant = await app.tenant()
    quick = await app.webhook(tenant, receiver.url + "/quick")
    slow = await app.webhook(tenant, receiver.url + "/slow")
    async with serving(database):
        await publish(app, tenant, 1)
        await until(lambda: settled(app, slow, "success", 1))
        await until(lambda: inbox_is_empty(app))

    assert interrupted
    assert len(await app.deliveries(quick)) == len(await app.deliveries(slow)) == 1
    assert (times(receiver, "/quick")[0], times(receiver, "/slow")[0]) == (1, 1)


@pytest.mark.parametrize("error", STATEMENT_FAILURES)
async def test_rows_that_cannot_be_inserted_stop_no_others(
    app: Application,
    database: str,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
) -> None:
    original = DeliveryInserter.insert

    async def insert(self: DeliveryInserter, matched: Sequence[MatchedEvent]) -> Inserted:
        if any('"n": 3' in (each.leased.data or "") for each in matched):
            raise error("this event cannot be inserted")
        return await original(self, matched)

    monkeypatch.setattr(DeliveryInserter, "insert", insert)
    gate = Gate(receiver, first=Reply(after=3.0))
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    async with serving(database, delivery=ONE_AT_A_TIME):
        await publish(app, tenant, 1)
        await until(lambda: receiver.received)
        await publish(app, tenant, 5, first=1)
        await until(lambda: settled(app, webhook, "pending_retry", 4))
        gate.open()
        await until(lambda: settled(app, webhook, "success", 5))

    assert set(times(receiver, "/hook").values()) == {1}
    assert await app.db.fetchval(COUNT_INBOX) == 1


async def test_a_stop_leaves_what_has_not_begun_to_the_next_daemon(
    app: Application, database: str, receiver: Receiver, patient_queue: None
) -> None:
    gate = Gate(receiver, first=Reply(after=0.5))
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    async with serving(database, delivery=ONE_AT_A_TIME):
        await publish(app, tenant, 5)
        await until(lambda: receiver.received)
    stopped_with = len(receiver.received)
    gate.open()
    async with serving(database, delivery=ONE_AT_A_TIME):
        await until(lambda: settled(app, webhook, "success", 5))
        await until(lambda: inbox_is_empty(app))

    assert stopped_with < 5
    assert times(receiver, "/hook") == dict.fromkeys(range(5), 1)


async def test_rows_whose_commit_has_an_unknown_end_hold_up_no_others(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = DeliveryInserter.insert
    interrupted: list[bool] = []

    async def insert(self: DeliveryInserter, matched: Sequence[MatchedEvent]) -> Inserted:
        inserted = await original(self, matched)
        if not interrupted and not all(each.ends for each in matched):
            interrupted.append(True)
            raise DatabaseUnavailableError("the connection was lost")
        return inserted

    monkeypatch.setattr(DeliveryInserter, "insert", insert)
    receiver.answer = lambda it: Reply(after=1.0 if it.path == "/slow" else 0.0)
    tenant = await app.tenant()
    slow = await app.webhook(tenant, receiver.url + "/slow")
    failing = await app.webhook(tenant, receiver.url + "/failing")
    # It gets a row at once, while the other's first attempt is in flight.
    await app.db.execute("UPDATE webhooks SET is_failing = TRUE WHERE id = $1", failing)
    with capture_logs() as lines:
        async with serving(database):
            await publish(app, tenant, 1)
            await until(lambda: settled(app, slow, "success", 1))
            await until(lambda: settled(app, failing, "success", 1))
            await until(lambda: inbox_is_empty(app))

    assert interrupted
    assert times(receiver, "/slow") == times(receiver, "/failing") == {0: 1}
    assert "event.not_fanned_out" not in {each["event"] for each in lines}


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

    async def insert(self: DeliveryInserter, matched: Sequence[MatchedEvent]) -> Inserted:
        if sum(len(each.webhooks) for each in matched) > 5:
            await ended.wait()
        return await original(self, matched)

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
