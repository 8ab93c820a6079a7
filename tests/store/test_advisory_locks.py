"""Advisory locks that another role holds for ever: waits end, and the holder is named."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from daemon.core.errors import LockHeldError, MigrationError
from daemon.core.model.ids import WebhookId
from daemon.maintenance import retention
from daemon.store import advisory_locks, mail_recipients, migrations, retry_lock
from daemon.store import retention as retention_lock
from daemon.store.advisory_locks import LockWatch
from tests.support.api_client import serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.retention import one_round, retention_of

HELD_BY = r"a session \(pid {}, user webhookd, application reports\)"


@pytest.fixture
async def holder(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A session that may take locks and never gives them back."""
    connection = await asyncpg.connect(database, server_settings={"application_name": "reports"})
    yield connection
    await connection.close()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advisory_locks, "WAIT_SECONDS", 1.0)


def held_by(holder: asyncpg.Connection) -> str:
    return HELD_BY.format(holder.get_server_pid())


async def hold(holder: asyncpg.Connection, name: str) -> None:
    await holder.execute("SELECT pg_advisory_lock(hashtextextended($1::text, 0))", name)


async def test_a_lock_is_waited_for_until_its_holder_lets_go(
    app: Application, holder: asyncpg.Connection
) -> None:
    await hold(holder, "a")
    async with app.db.transaction():
        waiting = asyncio.create_task(advisory_locks.take(app.db, "a"))
        await until(lambda: holder.fetchval("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"))
        await holder.execute("SELECT pg_advisory_unlock_all()")
        await waiting
        taken = await holder.fetchval("SELECT pg_try_advisory_lock(hashtextextended('a', 0))")

    assert not taken


async def test_the_wait_for_a_lock_that_is_held_for_ever_ends_with_the_holder_s_name(
    app: Application, holder: asyncpg.Connection
) -> None:
    await hold(holder, "b")
    async with app.db.transaction():
        with pytest.raises(LockHeldError, match=held_by(holder)):
            await advisory_locks.take(app.db, "b")

        assert await app.db.fetchval("SELECT 1") == 1


async def test_daemons_of_earlier_versions_share_the_lock_of_a_webhook_s_chains(
    app: Application, holder: asyncpg.Connection
) -> None:
    webhook = WebhookId(uuid4())
    await holder.execute(
        "SELECT pg_advisory_lock(hashtextextended('webhookd chains ' || $1::uuid, 0))", webhook
    )

    async with app.db.transaction():
        assert not await retry_lock.try_lock(app.db, webhook)


async def test_a_request_that_needs_a_held_lock_is_a_503_and_the_log_names_the_holder(
    app: Application, database: str, holder: asyncpg.Connection
) -> None:
    tenant = await app.tenant()
    await hold(holder, f"webhookd webhooks of {tenant}")
    with capture_logs() as lines:
        async with serving_api(database, tenant) as api:
            answer = await api.post(
                "/api/webhooks", {"name": "x", "endpointUrl": "http://127.0.0.1:9/"}
            )

    [reason] = [each["reason"] for each in lines if "reason" in each]
    assert answer.status == 503
    assert "reports" not in answer.text
    assert f"pid {holder.get_server_pid()}, user webhookd, application reports" in reason


async def test_a_migration_that_waits_for_another_says_which_session_it_waits_for(
    database: str, holder: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT_SECONDS", 0.2)
    await holder.execute("SELECT pg_advisory_lock($1::bigint)", migrations.LOCK)

    with pytest.raises(MigrationError, match=held_by(holder)):
        await migrations.migrate(database)


async def test_retention_that_never_gets_its_lock_warns_and_names_the_holder(
    database: str, holder: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "LOCK_PATIENCE", timedelta(0))
    await holder.execute("SELECT pg_advisory_lock($1::bigint)", retention_lock.LOCK)
    with capture_logs() as lines:
        async with retention_of(database) as loop:
            await one_round(loop)

    [line] = [each for each in lines if each["event"] == "lock.held_for_long"]
    assert (line["log_level"], line["work"]) == ("warning", "retention")
    assert "application reports" in line["held_by"]


async def test_a_lock_that_is_missed_now_and_then_is_not_warned_about(
    app: Application, holder: asyncpg.Connection
) -> None:
    watch = LockWatch(mail_recipients.LOCK, work="x", patience=timedelta(seconds=0.05))
    with capture_logs() as lines:
        for _ in range(3):
            await watch.missed(app.db)
            await asyncio.sleep(0.03)
            watch.taken()
        await watch.missed(app.db)
        await asyncio.sleep(0.06)
        await watch.missed(app.db)

    assert [each["event"] for each in lines] == ["lock.held_for_long"]
