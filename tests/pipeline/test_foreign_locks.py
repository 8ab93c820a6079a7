"""Rows and webhooks that another transaction holds delay their own results, and no others."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from daemon.core.errors import DatabaseUnavailableError, StatementError
from daemon.core.model.attempts import AttemptResult
from daemon.pipeline import result_writer
from daemon.store import contested_results, plain_results, results
from daemon.store.partitioning import Layout
from tests.support.application import Application
from tests.support.daemons import daemon, free_port, serving, until
from tests.support.deliveries import inbox_is_empty, insert_delivery, nothing_pending, settled
from tests.support.foreign_rows import Held, foreign_rows
from tests.support.receiver import Receiver, Reply

OUR_ROWS = """
    SELECT id, status, attempt_number FROM webhook_deliveries
     WHERE webhook_id = $1 AND error_message IS DISTINCT FROM 'foreign'
     ORDER BY attempt_number
"""


@pytest.mark.parametrize("events_each", [pytest.param(1, marks=pytest.mark.full), 20])
async def test_an_open_insert_with_the_id_of_an_attempt_delays_no_other_result(
    app: Application, database: str, receiver: Receiver, events_each: int
) -> None:
    held = Held(receiver)
    webhook = await app.webhook(tenant := await app.tenant(), receiver.url + "/held")
    free = await app.webhook(other_tenant := await app.tenant(), receiver.url + "/free")
    async with serving(database):
        await app.event(tenant, {"n": 0})
        [own_id] = await held.ids(1)
        async with foreign_rows(database, webhook, [own_id], held=held) as other:
            await until(lambda: receiver.open_now == 0)
            for turn in range(3):
                async with app.db.transaction():
                    for number in range(events_each):
                        await app.event(other_tenant, {"n": number})
                count = events_each * (turn + 1)
                await until(lambda n=count: settled(app, free, "success", n), within=5)
            stored_meanwhile = await app.db.fetch(OUR_ROWS, webhook)
            await other.execute("ROLLBACK")
        await until(lambda: settled(app, webhook, "success", 1))
        await until(lambda: inbox_is_empty(app))

    assert stored_meanwhile == []
    assert [row["id"] for row in await app.db.fetch(OUR_ROWS, webhook)] == [own_id]
    assert len(receiver.at("/held")) == 1


@pytest.mark.parametrize("tenants", [pytest.param(1, marks=pytest.mark.full), 40])
async def test_many_open_inserts_delay_no_other_result(
    app: Application, database: str, receiver: Receiver, tenants: int
) -> None:
    held = Held(receiver)
    crowd = [await app.tenant() for _ in range(tenants)]
    webhooks = [
        await app.webhook(crowd[n % tenants], f"{receiver.url}/held/{n}") for n in range(40)
    ]
    free = await app.webhook(other_tenant := await app.tenant(), receiver.url + "/free")
    async with serving(database):
        for tenant in crowd:
            await app.event(tenant, {"n": 0})
        ids = await held.ids(40)
        async with foreign_rows(database, webhooks[0], ids, held=held):
            await until(lambda: receiver.open_now == 0)
            for number in range(10):
                await app.event(other_tenant, {"n": number})
                await until(lambda n=number: settled(app, free, "success", n + 1), within=5)
        for webhook in webhooks:
            await until(lambda w=webhook: settled(app, w, "success", 1))
        await until(lambda: inbox_is_empty(app))

    for webhook in webhooks:
        [row] = await app.db.fetch(OUR_ROWS, webhook)
        assert row["id"] in ids
    assert len(receiver.received) == 50


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("committed_late", [False, True])
async def test_a_result_whose_id_a_foreign_row_has_is_stored_under_another(
    *,
    app: Application,
    database: str,
    receiver: Receiver,
    status: int,
    committed_late: bool,
) -> None:
    held = Held(receiver, status=status)
    webhook = await app.webhook(tenant := await app.tenant(), receiver.url + "/held")
    free = await app.webhook(other_tenant := await app.tenant(), receiver.url + "/free")
    async with serving(database, delivery={"retry_schedule": ["50ms"]}):
        await app.event(tenant, {"n": 0})
        [own_id] = await held.ids(1)
        late = held if committed_late else None
        async with foreign_rows(database, webhook, [own_id], held=late) as other:
            if committed_late:
                await until(lambda: receiver.open_now == 0)
                await app.event(other_tenant, {"n": 0})
                await until(lambda: settled(app, free, "success", 1), within=5)
            await other.execute("COMMIT")
        held.release()
        await app.event(other_tenant, {"n": 1})
        await until(lambda: settled(app, free, "success", 1), within=5)
        # The foreign row is a success, too.
        await until(lambda: settled(app, webhook, "success", 2))
        await until(lambda: inbox_is_empty(app))

    rows = await app.db.fetch(OUR_ROWS, webhook)
    wanted = ["success"] if status == 200 else ["failed", "success"]
    assert [row["status"] for row in rows] == wanted
    assert own_id not in {row["id"] for row in rows}
    assert len(receiver.at("/held")) == len(wanted)


@pytest.mark.parametrize("count", [pytest.param(1, marks=pytest.mark.full), 2])
@pytest.mark.parametrize("end", ["COMMIT", pytest.param("ROLLBACK", marks=pytest.mark.full)])
async def test_an_open_insert_with_the_id_of_a_claimed_attempt_delays_no_other_result(
    *, app: Application, database: str, receiver: Receiver, layout: Layout, count: int, end: str
) -> None:
    """Where one table has all rows, the insert is refused at once."""
    held = Held(receiver)
    webhook = await app.webhook(await app.tenant(), receiver.url + "/held")
    free = await app.webhook(other_tenant := await app.tenant(), receiver.url + "/free")
    now = datetime.now(UTC)
    ids = [await insert_delivery(app, webhook, next_retry_at=now) for _ in range(count)]
    async with serving(database):
        await held.ids(count)
        if layout is Layout.PLAIN:
            with pytest.raises(asyncpg.UniqueViolationError):
                async with foreign_rows(database, webhook, ids[:1], held=held):
                    pass
        else:
            async with foreign_rows(database, webhook, ids[:1], held=held) as other:
                await until(lambda: receiver.open_now == 0)
                for number in range(5):
                    await insert_delivery(app, free, next_retry_at=now)
                    await app.event(other_tenant, {"n": number})
                    done = 2 * number + 2
                    await until(lambda n=done: settled(app, free, "success", n), within=5)
                await other.execute(end)
        await until(lambda: settled(app, webhook, "success", count))
        await until(lambda: nothing_pending(app))

    rows = {row["id"] for row in await app.db.fetch(OUR_ROWS, webhook)}
    assert len(rows) == count
    # A row that stays there first leaves another id to the result.
    is_taken = end == "COMMIT" and layout is not Layout.PLAIN
    assert set(ids) - rows == ({ids[0]} if is_taken else set())
    assert len(receiver.at("/held")) == count


async def test_a_result_that_waits_for_a_foreign_row_is_not_lost_by_a_kill(
    app: Application, database: str, receiver: Receiver, tmp_path: Path
) -> None:
    held = Held(receiver)
    webhook = await app.webhook(tenant := await app.tenant(), receiver.url + "/held")
    free = await app.webhook(other_tenant := await app.tenant(), receiver.url + "/free")
    async with daemon(database, tmp_path, port=free_port()) as first:
        await app.event(tenant, {"n": 0})
        async with foreign_rows(database, webhook, await held.ids(1), held=held):
            await until(lambda: receiver.open_now == 0)
            await app.event(other_tenant, {"n": 0})
            await until(lambda: settled(app, free, "success", 1))
            await first.kill()
    async with daemon(database, tmp_path, port=free_port()):
        await until(lambda: settled(app, webhook, "success", 1))
        await until(lambda: inbox_is_empty(app))

    assert len(await app.db.fetch(OUR_ROWS, webhook)) == 1
    assert (len(receiver.at("/held")), len(receiver.at("/free"))) == (2, 1)


async def test_the_single_statement_waits_for_a_foreign_row_only_for_a_moment(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = plain_results.store_plain
    errors: list[BaseException] = []

    async def store_plain(*args: Any, **options: Any) -> Any:
        try:
            return await original(*args, **options)
        except BaseException as error:
            errors.append(error)
            raise

    monkeypatch.setattr(plain_results, "store_plain", store_plain)
    held = Held(receiver)
    webhook = await app.webhook(tenant := await app.tenant(), receiver.url + "/held")
    async with serving(database):
        await app.event(tenant, {"n": 0})
        async with foreign_rows(database, webhook, await held.ids(1), held=held):
            await until(lambda: errors, within=5)
        await until(lambda: settled(app, webhook, "success", 1))

    assert [type(error) for error in errors] == [asyncpg.LockNotAvailableError]


async def test_an_outage_after_some_results_were_stored_one_by_one_repeats_none(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = results.insert_first
    alone: list[AttemptResult] = []

    async def insert_first(db: Any, batch: Sequence[AttemptResult], **options: Any) -> Any:
        if len(batch) > 1:
            raise StatementError("these cannot be stored together")
        alone.extend(batch)
        if len(alone) == 3:
            raise DatabaseUnavailableError("the connection was lost")
        return await original(db, batch, **options)

    monkeypatch.setattr(result_writer, "FEW", 0)
    monkeypatch.setattr(results, "insert_first", insert_first)
    monkeypatch.setattr(contested_results, "insert_first", insert_first)
    receiver.answer = lambda _: Reply(after=0.3)
    webhook = await app.webhook(tenant := await app.tenant(), receiver.url + "/hook")
    await app.webhook(tenant, receiver.url + "/other")
    with capture_logs() as lines:
        async with serving(database):
            async with app.db.transaction():
                for number in range(3):
                    await app.event(tenant, {"n": number})
            await until(lambda: settled(app, webhook, "success", 3))
            await until(lambda: inbox_is_empty(app))

    assert len(alone) > 3
    assert "loop.failed" not in {line["event"] for line in lines}
    assert len(receiver.received) == 6
