"""
From the schema of any version on: rows of an older daemon and of the application are kept and sent.

The application goes on inserting while the schema is brought up to date.
"""

import asyncio
import tempfile
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from daemon.core.errors import SchemaError
from daemon.runtime.package_data import package_file
from daemon.store import migrations, partitioning
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.receiver import Receiver

OLDEST = "0004_housekeeping"
NAMES = sorted(file.stem for file in package_file("migrations").glob("*.sql"))
# Every third, and the last one before the schema's newest.
LATER = [*[name for name in NAMES if name > OLDEST][2:-2:3], NAMES[-2]]
# As the first version stored them: one that was delivered, and one whose next attempt is due.
DELIVERIES = """
    INSERT INTO webhook_deliveries (webhook_id, event_id, event_type, payload, event_created_at,
                                    status, attempt_number, next_retry_at, status_code)
    SELECT $1::uuid, id, event_type, event_data, created_at, 'success', 1, NULL::timestamptz, 200
      FROM webhook_events WHERE id = $2
     UNION ALL
    SELECT $1::uuid, id, event_type, event_data, created_at, 'pending_retry', 2, now(), NULL
      FROM webhook_events WHERE id = $3
"""


async def apply_up_to(url: str, last: str) -> None:
    """Apply the migrations that a version had whose last one was this."""
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES[: NAMES.index(last) + 1]:
            text = (package_file("migrations") / f"{name}.sql").read_text()
            (Path(folder) / f"{name}.sql").write_text(text)
        await migrations.migrate(url, folder=Path(folder))


async def insert_until(done: asyncio.Event, url: str, tenant: UUID) -> list[UUID]:
    """Insert events one by one, as the application does; returns those that were committed."""
    db = await asyncpg.connect(url)
    inserted: list[UUID] = []
    while not done.is_set():
        inserted.append(await Application(db).event(tenant))
        await asyncio.sleep(0.005)
    await db.close()
    return inserted


def ids(receiver: Receiver) -> set[str]:
    return {each.headers["webhook-id"] for each in receiver.received}


@pytest.mark.parametrize(
    "version", [OLDEST, *(pytest.param(each, marks=pytest.mark.full) for each in LATER)]
)
async def test_rows_of_every_earlier_schema_are_kept_and_what_is_due_is_sent(
    empty_database: str, receiver: Receiver, version: str
) -> None:
    await apply_up_to(empty_database, version)
    db = await asyncpg.connect(empty_database)
    app = Application(db)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    delivered, due = [await app.event(tenant) for _ in range(2)]
    await db.execute("DELETE FROM webhook_event_inbox")  # the older daemon has taken them
    await db.execute(DELIVERIES, webhook, delivered, due)
    migrated = asyncio.Event()
    inserting = asyncio.create_task(insert_until(migrated, empty_database, tenant))

    await migrations.migrate(empty_database)
    await partitioning.convert(empty_database)
    migrated.set()
    new = await inserting
    expected = {f"evt_{event.hex}" for event in (due, *new)}
    async with serving(empty_database):
        await until(lambda: expected <= ids(receiver))

    assert ids(receiver) == expected
    assert await db.fetchval(
        "SELECT count(*) FROM webhook_deliveries WHERE event_id = $1 AND status = 'success'",
        delivered,
    )
    await db.close()


async def test_a_daemon_refuses_the_schema_of_a_newer_one(empty_database: str) -> None:
    await migrations.migrate(empty_database)
    db = await asyncpg.connect(empty_database)
    await db.execute("INSERT INTO webhookd_migrations (name, sha256) VALUES ('9999_newer', '0')")

    with pytest.raises(SchemaError, match="newer than this program \\(9999_newer\\)"):
        async with serving(empty_database):
            pass

    await db.close()
