"""
Behind PgBouncer: in transaction mode with `database.pooled`, in session mode without.

All that the daemon does works there, and it leaves no setting in a session that others get next.
"""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from daemon.config import load
from daemon.core.errors import ConfigError
from daemon.store.pooler import pooler_mistake
from tests.support.api_client import OPERATOR, operator_client
from tests.support.application import Application
from tests.support.commandline import webhookd
from tests.support.daemons import serving, until
from tests.support.deliveries import nothing_leased, settled
from tests.support.pgbouncer import needs_pgbouncer, pooling
from tests.support.receiver import Receiver, Reply

pytestmark = needs_pgbouncer

QUICK = {"retry_schedule": ["50ms", "50ms"]}
# What the daemon sets for its own transactions.
SETTINGS = """
    SELECT name, setting FROM pg_settings
     WHERE name IN ('enable_seqscan', 'enable_hashjoin', 'jit', 'synchronous_commit',
                    'statement_timeout', 'lock_timeout', 'row_security', 'search_path',
                    'idle_in_transaction_session_timeout', 'default_transaction_isolation')
     ORDER BY name
"""
ANY_PORT = {"WEBHOOKD_ADMIN__PORT": "0"}
LEFT_BEHIND = """
    SELECT (SELECT count(*) FROM pg_prepared_statements)
         + (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())
"""


async def settings(connection: asyncpg.Connection) -> list[tuple[str, str]]:
    return [tuple(row) for row in await connection.fetch(SETTINGS)]


async def deliver_retry_and_replay(
    database: dict[str, Any], app: Application, receiver: Receiver
) -> None:
    """Publish events, the first of which is retried; use the API; replay; retry by hand."""
    tenant = await app.tenant()
    answers = iter([Reply(500)])
    receiver.answer = lambda _: next(answers, Reply())
    sections = {"database": database, "delivery": QUICK, "admin": {"tokens": [OPERATOR]}}
    async with (
        serving(database["url"], **sections) as service,
        operator_client(service, tenant) as api,
    ):
        webhook = UUID((await api.create_webhook(receiver.url + "/hook"))["id"])
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))
        await app.events(tenant, 20)
        await until(lambda: settled(app, webhook, "success", 21))
        replay = {"webhookId": str(webhook), "from": "2020-01-01T00:00:00Z"}
        assert (await api.post("/api/replays", replay)).status == 202
        await until(lambda: settled(app, webhook, "success", 42))
        [delivery, *_] = await app.deliveries(webhook)
        assert (await api.post(f"/api/deliveries/{delivery['id']}/retry")).status == 202
        await until(lambda: settled(app, webhook, "success", 43))
        shown = await api.get("/api/deliveries", limit=50)
        assert len(shown.json["deliveries"]) == 44
        await until(lambda: nothing_leased(app))


async def test_in_transaction_mode_everything_works_and_nothing_is_left_in_a_session(
    database: str, app: Application, receiver: Receiver
) -> None:
    before = await settings(app.db)

    async with pooling(database, "transaction", size=2) as url:
        await deliver_retry_and_replay({"url": url, "pooled": True}, app, receiver)

        sessions = [await asyncpg.connect(url, statement_cache_size=0) for _ in range(2)]
        for each in sessions:  # both at once, so that each gets another session
            await each.execute("BEGIN")
        assert [await settings(each) for each in sessions] == [before, before]
        assert [await each.fetchval(LEFT_BEHIND) for each in sessions] == [0, 0]
        for each in sessions:
            await each.close()


async def test_with_a_direct_url_events_are_announced_past_the_pooler(
    database: str, app: Application, receiver: Receiver
) -> None:
    async with pooling(database, "transaction") as url:
        settings = {"url": url, "pooled": True, "direct_url": database}
        async with serving(url, database=settings):
            tenant = await app.tenant()
            webhook = await app.webhook(tenant, receiver.url)
            await app.event(tenant)
            await until(lambda: settled(app, webhook, "success", 1))
            past_the_pooler = await app.db.fetchval(
                "SELECT array_agg(application_name ORDER BY application_name) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name LIKE 'webhookd l%'"
            )

    assert past_the_pooler == ["webhookd listen", "webhookd lock"]


async def test_session_mode_needs_no_setting(
    database: str, app: Application, receiver: Receiver
) -> None:
    async with pooling(database, "session", size=30) as url:
        await deliver_retry_and_replay({"url": url}, app, receiver)


@pytest.mark.full
async def test_pooled_works_without_a_pooler_too(
    database: str, app: Application, receiver: Receiver
) -> None:
    await deliver_retry_and_replay({"url": database, "pooled": True}, app, receiver)


async def test_a_daemon_frees_no_leases_of_one_that_can_hold_no_lock(
    database: str, app: Application, receiver: Receiver
) -> None:
    leased = """
        INSERT INTO webhook_event_inbox (event_id, tenant_id, leased_until, leased_by)
        SELECT id, tenant_id, now() + interval '1 hour', $2 FROM webhook_events WHERE id = $1
    """
    kept = "SELECT leased_by FROM webhook_event_inbox WHERE event_id = $1 AND leased_by IS NOT NULL"
    tenant = await app.tenant()
    await app.webhook(tenant, receiver.url)
    dead, lockless = await app.event(tenant), await app.event(tenant)
    await app.db.execute("DELETE FROM webhook_event_inbox")
    await app.db.execute(leased, dead, 7)
    await app.db.execute(leased, lockless, -7)

    async with serving(database):
        await until(lambda: receiver.received)

    assert await app.db.fetchval(kept, lockless) == -7
    assert [each.headers["webhook-id"] for each in receiver.received] == [f"evt_{dead.hex}"]


@pytest.mark.parametrize("mode", ["transaction", pytest.param("statement", marks=pytest.mark.full)])
async def test_commands_and_daemons_refuse_a_pooler_that_is_not_configured(
    database: str, tmp_path: Path, mode: str
) -> None:
    sentence = f"a pooler in {mode} mode answers"
    async with pooling(database, mode) as url:
        checked = await webhookd("check", "--json", folder=tmp_path, env={"DATABASE_URL": url})
        ran = await webhookd("run", folder=tmp_path, env={"DATABASE_URL": url, **ANY_PORT})

    [found] = [each for each in json.loads(checked.out)["checks"] if each["check"] == "pooler"]
    assert (checked.code, found["status"]) == (1, "error")
    assert sentence in found["message"]
    assert ran.code == 2
    assert ran.err.startswith("webhookd: database.")
    assert sentence in ran.err


async def test_migrate_and_check_work_through_a_configured_pooler(
    empty_database: str, tmp_path: Path
) -> None:
    async with pooling(empty_database, "transaction") as url:
        env = {"DATABASE_URL": url, "WEBHOOKD_DATABASE__POOLED": "true"}
        migrated = await webhookd("migrate", folder=tmp_path, env=env)
        checked = await webhookd("check", folder=tmp_path, env=env)

    assert (migrated.code, migrated.err) == (0, "")
    assert checked.code == 0, checked.out


async def test_a_direct_url_must_lead_past_the_pooler(database: str) -> None:
    async with pooling(database, "transaction") as url:
        behind = await pooler_mistake(url, pooled=True, direct_url=url)
        past = await pooler_mistake(url, pooled=True, direct_url=database)

    assert behind is not None
    assert behind.startswith("database.direct_url: a pooler in transaction mode")
    assert past is None


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        ({"WEBHOOKD_DATABASE__POOLED": "true"}, "pooled is set but url is not"),
        (
            {
                "DATABASE_URL": "postgresql://h/d",
                "WEBHOOKD_DATABASE__DIRECT_URL": "postgresql://i/d",
            },
            "direct_url is set but pooled is not",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    env: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load(None, environ=env)
