"""Locks that a session holds for ever: waits end, it is named, and it is none of another role."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from structlog.testing import capture_logs

from daemon.core.errors import LockHeldError, MigrationError
from daemon.maintenance import retention
from daemon.runtime.package_data import package_file
from daemon.store import mail_recipients, migrations, named_locks
from daemon.store import retention as retention_lock
from daemon.store.named_locks import LockWatch
from tests.support.aged_rows import stored_event
from tests.support.api_client import serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.held_locks import hold, is_held, release
from tests.support.retention import one_round, prune, retention_of
from tests.support.roles import connected_as_other_role, name_of

LOCKS = "0030_locks"
HELD_BY = r"a session \(pid {}, user webhookd, application reports\)"


@pytest.fixture
async def holder(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A session that may take locks and never gives them back."""
    connection = await asyncpg.connect(database, server_settings={"application_name": "reports"})
    yield connection
    await connection.close()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named_locks, "WAIT_SECONDS", 1.0)


def held_by(holder: asyncpg.Connection) -> str:
    return HELD_BY.format(holder.get_server_pid())


async def test_a_lock_is_waited_for_until_its_holder_lets_go(
    app: Application, holder: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named_locks, "WAIT_SECONDS", 8.0)
    await hold(holder, "a")
    async with app.db.transaction():
        waiting = asyncio.create_task(named_locks.take(app.db, "a"))
        await until(lambda: holder.fetchval("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"))
        await release(holder)
        await waiting
        taken = await is_held(holder, "a")

    assert taken


async def test_the_wait_for_a_lock_that_is_held_for_ever_ends_with_the_holder_s_name(
    app: Application, holder: asyncpg.Connection
) -> None:
    await hold(holder, "b")
    async with app.db.transaction():
        with pytest.raises(LockHeldError, match=held_by(holder)):
            await named_locks.take(app.db, "b")

        assert await app.db.fetchval("SELECT 1") == 1


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
    await hold(holder, retention_lock.LOCK)
    with capture_logs() as lines:
        async with retention_of(database) as loop:
            await one_round(loop)

    [line] = [each for each in lines if each["event"] == "lock.held_for_long"]
    assert (line["log_level"], line["work"]) == ("warning", "retention")
    assert "application reports" in line["held_by"]


async def test_a_lock_that_is_missed_now_and_then_is_not_warned_about(
    app: Application, holder: asyncpg.Connection
) -> None:
    await hold(holder, mail_recipients.LOCK)
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


# What earlier versions locked: numbers and hashes of names, which every role can work out.
FORMER_NUMBERS = (0x72657461696E, 0x6D61696C)
FORMER_NAMES = ("webhooks of", "tokens of", "portal links of", "confirmations of")


async def test_advisory_locks_of_a_role_without_rights_stop_neither_retention_nor_requests(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    await stored_event(app, tenant)
    names = [f"webhookd {each} {tenant}" for each in FORMER_NAMES]
    names += [mail_recipients.LOCK, retention_lock.LOCK]
    async with connected_as_other_role(database) as role:
        await role.execute("SELECT pg_advisory_lock(n) FROM unnest($1::bigint[]) n", FORMER_NUMBERS)
        await role.execute(
            "SELECT pg_advisory_lock(hashtextextended(n, 0)) FROM unnest($1::text[]) n", names
        )
        await prune(database)
        async with serving_api(database, tenant) as api:
            created = await api.post(
                "/api/webhooks", {"name": "x", "endpointUrl": "http://127.0.0.1:9/"}
            )

    assert await app.db.fetchval("SELECT count(*) FROM webhook_events") == 0
    assert created.status == 201


async def test_the_rights_of_the_application_lock_no_row_of_a_lock(
    app: Application, database: str
) -> None:
    async with connected_as_other_role(database) as role:
        await app.db.execute(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON webhooks, webhook_events, webhook_deliveries"
            f" TO {await name_of(role)}"
        )

        for statement in ("SELECT FROM webhook_locks FOR UPDATE", "LOCK TABLE webhook_locks"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await role.execute(f"BEGIN; {statement}")
            await role.execute("ROLLBACK")


async def test_the_migration_lets_daemons_lock_and_nobody_else(
    empty_database: str, tmp_path: Path
) -> None:
    for file in package_file("migrations").glob("*.sql"):
        if file.stem < LOCKS:
            shutil.copy(file, tmp_path)
    await migrations.migrate(empty_database, folder=tmp_path)
    owner = await asyncpg.connect(empty_database)
    async with (
        connected_as_other_role(empty_database) as daemon,
        connected_as_other_role(empty_database) as application,
    ):
        await owner.execute(
            "GRANT SELECT, UPDATE ON webhook_event_inbox, webhook_stats_progress"
            f" TO {await name_of(daemon)}; ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES"
            f" TO PUBLIC, {await name_of(application)}"
        )
        await migrations.migrate(empty_database)
        async with daemon.transaction():
            taken = await named_locks.try_take(daemon, "a")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await named_locks.try_take(application, "a")
        await owner.execute("ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM PUBLIC")
    await owner.close()

    assert taken
