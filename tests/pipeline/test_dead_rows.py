"""Dead rows at one tenant's own place of the inbox delay nobody, and hide none of its events."""

import asyncio
import time

import asyncpg
import pytest

from daemon.pipeline import inbox_search
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver

MANY = "SELECT gen_random_uuid(), $1, 'email.opened', '{}' FROM generate_series(1, $2::int)"
INSERT = f"INSERT INTO webhook_events (id, tenant_id, event_type, event_data) {MANY}"
FULL = pytest.param(1_000_000, marks=pytest.mark.full)


@pytest.mark.parametrize("rows", [3000, FULL])
async def test_events_rolled_back_beside_an_old_snapshot_delay_no_other_tenant(
    app: Application,
    database: str,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    rows: int,
) -> None:
    monkeypatch.setattr(inbox_search, "FULL_SCAN_SECONDS", 1.0)
    tenant, other = await app.tenant(), await app.tenant()
    webhook = await app.webhook(tenant, f"{receiver.url}/a")
    await app.webhook(other, f"{receiver.url}/b")
    old = await asyncpg.connect(database)
    await old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM webhooks")
    took: list[float] = []

    def has_next() -> bool:
        return sum(each.path == "/b" for each in receiver.received) > len(took)

    async def deliver_to_other() -> None:
        while True:
            began = time.monotonic()
            await beside.event(other)
            await until(has_next, within=60)
            took.append(time.monotonic() - began)

    another = await asyncpg.connect(database)
    beside = Application(another)
    publisher = await asyncpg.connect(database, command_timeout=600)
    async with serving(database):
        task = asyncio.create_task(deliver_to_other())
        await publisher.execute("BEGIN; SELECT pg_current_xact_id(); SAVEPOINT before")
        await publisher.execute(INSERT, tenant, rows)
        await publisher.execute("ROLLBACK TO before")
        await publisher.execute(INSERT, tenant, 50)
        await publisher.execute("COMMIT")
        before = len(took)
        await Application(publisher).event(tenant)
        await until(lambda: settled(app, webhook, "success", 51), within=120)
        await asyncio.sleep(2)  # some full scans later
        task.cancel()
        await asyncio.wait([task])
    for each in (publisher, another, old):
        await each.close()

    assert len(took) > before + 5
    if rows > 3000:  # passing the dead rows takes twice as long and more
        assert max(took[before + 1 :]) < 2.0, took
