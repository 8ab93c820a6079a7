"""
Databases in which `webhook_deliveries` is stored as in earlier versions, or was converted since.

The application that inserts rows sees no difference; nor do the daemon's statements.
"""

import tempfile
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg

from daemon.runtime.package_data import package_file
from daemon.store import migrations, partitioning
from daemon.store.partitioning import Layout
from tests.support.application import Application
from tests.support.deliveries import insert_delivery

PARTITIONS = "0015_partitions"


async def migrate_before_partitions(url: str) -> None:
    """Apply the migrations of the last version without partitions."""
    await migrate_before(url, PARTITIONS)


async def migrate_before(url: str, name: str) -> None:
    """Apply the migrations that come before this one."""
    with tempfile.TemporaryDirectory() as folder:
        for file in package_file("migrations").glob("*.sql"):
            if file.stem < name:
                (Path(folder) / file.name).write_text(file.read_text())
        await migrations.migrate(url, folder=Path(folder))


async def stored_before_partitions(url: str, **columns: object) -> UUID:
    """Insert a delivery to a new webhook; returns its id."""
    connection = await asyncpg.connect(url)
    app = Application(connection)
    webhook = await app.webhook(await app.tenant(), "https://example.com")
    delivery = await insert_delivery(app, webhook, **columns)
    await connection.close()
    return delivery


async def make(url: str, layout: Layout) -> None:
    """Migrate an empty database so that it has this layout, and no rows."""
    if layout is Layout.PARTITIONED:
        await migrations.migrate(url)
        return
    await migrate_before_partitions(url)
    await stored_before_partitions(url)  # a table without rows would be partitioned by the file
    await migrations.migrate(url)
    if layout is Layout.CONVERTED:
        await partitioning.convert(url)
    connection = await asyncpg.connect(url)
    await connection.execute("DELETE FROM webhooks; DELETE FROM tenants")
    await connection.close()


def partition_name(begins: date, *, days: int = 1) -> str:
    """The name of the history's partition of these days."""
    return f"webhook_deliveries_{begins:%Y%m%d}_{begins + timedelta(days=days):%Y%m%d}"


async def add_partition(connection: asyncpg.Connection, begins: date, *, days: int = 1) -> str:
    """Add a partition to the history as the daemon would have on that day; returns its name."""
    ends = begins + timedelta(days=days)
    name = partition_name(begins, days=days)
    await connection.execute(
        f"CREATE TABLE {name} (LIKE webhook_deliveries_history INCLUDING DEFAULTS,"
        " PRIMARY KEY (id));"
        f" ALTER TABLE webhook_deliveries_history ATTACH PARTITION {name}"
        f" FOR VALUES FROM ('{begins} 00:00:00+00') TO ('{ends} 00:00:00+00')"
    )
    return name


async def partitions(connection: asyncpg.Connection) -> list[str]:
    """The names of the history's partitions, oldest first."""
    rows = await connection.fetch("SELECT partition FROM webhook_history_partitions() ORDER BY 1")
    return [row["partition"] for row in rows]


async def partition_of(connection: asyncpg.Connection, delivery: UUID) -> str:
    """The name of the table that has the delivery's row."""
    name: str = await connection.fetchval(
        "SELECT tableoid::regclass::text FROM webhook_deliveries WHERE id = $1", delivery
    )
    return name
