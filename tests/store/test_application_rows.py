"""Rows as an application with the rights of INSERT alone may write them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest

from daemon.pipeline.fanout import Fanout
from daemon.store import history_partitions
from daemon.store.partitioning import Layout
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver


@pytest.fixture
async def role(app: Application, database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of a role that may only insert."""
    name = f"application_{uuid4().hex}"
    await app.db.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    await app.db.execute(f"GRANT INSERT ON webhook_events, webhooks, webhook_deliveries TO {name}")
    url = urlsplit(database)
    connection = await asyncpg.connect(
        host=url.hostname, port=url.port, user=name, password="secret", database=url.path[1:]
    )
    yield connection
    await connection.close()
    await app.db.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


INSERT = """
    INSERT INTO webhook_deliveries
           (webhook_id, event_id, event_type, payload, payload_bytes, too_large, leased_until,
            replay_id, trace, chain_start, chain_replays, brought_forward)
    VALUES ($1, gen_random_uuid(), 'email.opened', $2, 10, true, 'infinity', $3, '{}', 7,
            ARRAY[$3::uuid], true)
"""
NOTED = (
    "payload_bytes, too_large, leased_until, replay_id, trace, chain_start, chain_replays,"
    " brought_forward"
)


async def test_what_the_application_notes_on_a_delivery_does_not_count(
    app: Application, database: str, role: asyncpg.Connection, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/bad")
    good = await app.webhook(await app.tenant(), receiver.url + "/good")
    exploding = "[" + ",".join(["1e131071"] * 10_000) + "]"

    await role.execute(INSERT, webhook, exploding, uuid4())

    row = await app.db.fetchrow(f"SELECT {NOTED} FROM webhook_deliveries")
    assert tuple(row) == (None, False, None, None, None, 1, None, None)
    async with serving(database):
        await app.event((await app.health(good))["tenant_id"])
        await until(lambda: settled(app, good, "success", 1))
        await until(lambda: settled(app, webhook, "failed", 1))
    assert receiver.at("/bad") == []


FINISHED = """
    INSERT INTO webhook_deliveries (webhook_id, event_id, status, attempted_at)
    VALUES ($1, gen_random_uuid(), 'failed', $2)
"""


async def test_rows_of_the_application_keep_no_partition_from_being_made_or_dropped(
    app: Application, role: asyncpg.Connection, layout: Layout
) -> None:
    webhook = await app.webhook(await app.tenant(), "https://example.com")
    now = datetime.now(UTC)
    kept = [None, now - timedelta(days=40), now, now + timedelta(hours=12)]

    for time in (*kept, now + timedelta(days=20)):
        await role.execute(FINISHED, webhook, time)
    if layout is Layout.CONVERTED:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="gets no new rows"):
            await role.execute(
                FINISHED.replace("d_at)", "d_at, legacy)").replace("2)", "2, true)"), webhook, None
            )

    stored = [row["attempted_at"] for row in await app.deliveries(webhook)]
    last = now + timedelta(days=20) if layout is Layout.PLAIN else None
    assert sorted(stored, key=str) == sorted([*kept, last], key=str)
    assert await history_partitions.missing_days(app.db) == []


async def test_what_a_daemon_notes_on_a_delivery_stays(app: Application) -> None:
    webhook = await app.webhook(await app.tenant(), "http://127.0.0.1/")
    replay = uuid4()

    await app.db.execute(INSERT, webhook, "{}", replay)

    row = await app.db.fetchrow(f"SELECT {NOTED} FROM webhook_deliveries")
    assert (row["payload_bytes"], row["too_large"], row["replay_id"]) == (10, True, replay)
    assert (row["chain_start"], row["chain_replays"], row["brought_forward"]) == (7, [replay], True)


async def test_a_pending_delivery_without_a_time_is_due_now(
    app: Application, database: str, role: asyncpg.Connection, receiver: Receiver
) -> None:
    webhook = await app.webhook(await app.tenant(), receiver.url + "/hook")
    async with serving(database):
        await role.execute(
            "INSERT INTO webhook_deliveries (webhook_id, event_id, payload, status, next_retry_at)"
            " VALUES ($1, gen_random_uuid(), '{}', 'pending_retry', NULL)",
            webhook,
        )
        await until(lambda: settled(app, webhook, "success", 1))


async def test_without_notifications_an_event_is_found_by_polling(
    app: Application,
    database: str,
    role: asyncpg.Connection,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rests, run_once = set[float](), Fanout.run_once

    async def observed(self: Fanout) -> float:
        rests.add(rest := await run_once(self))
        return rest

    monkeypatch.setattr(Fanout, "run_once", observed)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    heard: list[object] = []
    await app.db.add_listener("webhookd_events", lambda *notified: heard.append(notified))
    async with serving(database):
        for setting in ("off", "on"):
            await role.execute(f"SET webhookd.notify = '{setting}'")
            await role.execute(
                "INSERT INTO webhook_events (id, tenant_id, event_type) VALUES ($1, $2, 'x')",
                *(uuid4(), tenant),
            )
            if setting == "off":
                await until(lambda: settled(app, webhook, "success", 1))
                assert heard == []
        await until(lambda: settled(app, webhook, "success", 2))
    await until(lambda: len(heard) == 1)
    assert 0 < max(rests) < 1  # seconds: so soon it is promised to be found


async def test_a_webhook_cannot_have_the_id_that_stands_for_all(
    app: Application, role: asyncpg.Connection
) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await role.execute(
            "INSERT INTO webhooks (id, tenant_id, name, endpoint_url, secret_key)"
            " VALUES ($1, $2, 'x', 'https://receiver.example/', 'whsec_x')",
            *(UUID(int=0), await app.tenant()),
        )


async def test_the_time_of_a_delivery_that_has_one_is_kept(
    app: Application, role: asyncpg.Connection
) -> None:
    webhook = await app.webhook(await app.tenant(), "http://127.0.0.1/")
    later = datetime.now(UTC) + timedelta(days=1)
    await role.execute(
        "INSERT INTO webhook_deliveries (webhook_id, event_id, payload, status, next_retry_at)"
        " VALUES ($1, gen_random_uuid(), '{}', 'pending_retry', $2)",
        *(webhook, later),
    )

    assert await app.db.fetchval("SELECT next_retry_at FROM webhook_deliveries") == later
