"""Whatever ends between a first attempt and its row, each event arrives once."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from daemon.core.errors import STATEMENT_FAILURES, DatabaseUnavailableError
from daemon.pipeline import first_attempts
from daemon.pipeline.delivery_inserter import DeliveryInserter, MatchedEvent
from daemon.pipeline.first_attempts import FirstAttempts
from daemon.store import results
from daemon.store.deliveries import Inserted
from tests.support.application import Application
from tests.support.daemons import daemon, free_port, serving, until
from tests.support.deliveries import inbox_is_empty, settled
from tests.support.first_attempts import COUNT_INBOX, ONE_AT_A_TIME, Gate, publish, times
from tests.support.receiver import Receiver, Reply


@pytest.fixture
def patient_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits in memory stays there for longer than a test takes."""
    monkeypatch.setattr(first_attempts, "QUEUED_SECONDS", 60.0)


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


@pytest.mark.full
async def test_a_result_whose_event_another_daemon_has_taken_changes_nothing(
    app: Application, database: str, receiver: Receiver
) -> None:
    is_taken = asyncio.Event()
    receiver.answer = lambda it: Reply(when=is_taken if it.path == "/slow" else None)
    tenant = await app.tenant()
    quick = await app.webhook(tenant, receiver.url + "/quick")
    slow = await app.webhook(tenant, receiver.url + "/slow")
    async with serving(database):
        await publish(app, tenant, 1)
        await until(lambda: receiver.at("/slow"))
        await until(lambda: settled(app, quick, "success", 1))
        # Not the last result of its event: the quick webhook's row is there already.
        await app.db.execute("UPDATE webhook_event_inbox SET leased_by = 1, leased_until = now()")
        is_taken.set()
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

    async def insert(
        self: DeliveryInserter, matched: Sequence[MatchedEvent], **options: Any
    ) -> Inserted:
        if any('"n": 3' in (each.leased.data or "") for each in matched):
            raise error("this event cannot be inserted")
        return await original(self, matched, **options)

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

    async def insert(
        self: DeliveryInserter, matched: Sequence[MatchedEvent], **options: Any
    ) -> Inserted:
        inserted = await original(self, matched, **options)
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


@pytest.mark.full
async def test_what_is_put_off_all_the_time_holds_up_neither_the_loop_nor_fan_out_s_bound(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run stores one batch; while many wait, fan-out leaves events in the inbox."""
    monkeypatch.setattr(first_attempts, "STORED_AT_ONCE", 5)
    monkeypatch.setattr(first_attempts, "MOST_PUT_OFF", 10)
    original = FirstAttempts.run_once
    stored: list[int] = []
    most = 0

    async def run_once(self: FirstAttempts) -> float:
        nonlocal most
        before = len(self._put_off)
        most = max(most, before)
        rest = await original(self)
        stored.append(before - len(self._put_off))
        return rest

    monkeypatch.setattr(FirstAttempts, "run_once", run_once)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    receiver.answer = lambda _: Reply(after=0.02)
    settings = {"per_endpoint": 1}
    async with serving(database, delivery=settings):
        await publish(app, tenant, 200)
        await until(lambda: settled(app, webhook, "success", 200))
        await until(lambda: inbox_is_empty(app))

    assert max(stored) <= 5
    assert most < 200
    assert set(times(receiver, "/hook").values()) == {1}
