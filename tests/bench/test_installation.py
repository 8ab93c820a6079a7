"""What a window of measurement has, and that waiting for starved deliveries ends."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import asyncpg
import psutil
import pytest

from tests.bench.bench import Bench
from tests.bench.installation import Installation, installation
from tests.bench.publishing import publish
from tests.bench.receiver import receiving
from tests.bench.servers import Databases, Server
from tests.bench.sizes import QUICK
from tests.bench.throughput import PLAIN, ROW_VERSIONS, Load
from tests.support.application import Application

IMPATIENT = replace(QUICK, patience_seconds=0.1)
BURN = "SELECT count(*) FROM generate_series(1, 5000000) AS n WHERE n % 7 = 0"
PARTITIONED = """
    CREATE SCHEMA elsewhere;
    SET search_path = elsewhere;
    CREATE TABLE webhook_deliveries (status text) PARTITION BY LIST (status);
    CREATE TABLE pending PARTITION OF webhook_deliveries FOR VALUES IN ('pending_retry');
    CREATE TABLE others PARTITION OF webhook_deliveries DEFAULT;
    INSERT INTO webhook_deliveries VALUES ('pending_retry'), ('success'), ('failed');
    UPDATE webhook_deliveries SET status = 'failed' WHERE status = 'success';
"""


async def server_of(database: str) -> Server:
    """Return the tests' server; each session's parent is the postmaster."""
    connection = await asyncpg.connect(database)
    postmaster = psutil.Process(connection.get_server_pid()).ppid()
    version = connection.get_server_version().major
    await connection.close()
    return Server("the tests' server", database, postmaster, version, counts_statements=False)


@pytest.fixture
async def bench(database: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(receiving())
        databases = Databases(await server_of(database), tmp_path)
        yield Bench(IMPATIENT, receiver, tmp_path, databases, None, stack)


@pytest.fixture
async def run(bench: Bench, database: str) -> AsyncIterator[Installation]:
    async with installation(bench.databases.server, database, bench.receiver) as installed:
        yield installed


async def test_the_drivers_sessions_are_the_publishers_and_all_others_postgresqls(
    run: Installation, app: Application
) -> None:
    own = await run.connect()
    before = await run.sample(own)
    await app.db.execute(BURN)
    middle = await run.sample(own)
    await own.execute(BURN)
    after = await run.sample(own)

    others, publishers = run.window(before, middle), run.window(middle, after)
    assert others.postgres_cpu > others.publisher_cpu
    assert publishers.publisher_cpu > publishers.postgres_cpu
    assert min(others.seconds, publishers.seconds) > 0
    assert others.daemon_cpu == publishers.daemon_cpu == 0


async def test_the_log_written_in_a_window_is_that_of_its_transactions(
    run: Installation, app: Application
) -> None:
    tenant, db = await app.tenant(), await run.connect()

    samples = [await run.sample(db)]
    for events in (10, 1000):
        await publish(app.db, [tenant], events, data="{}")
        samples.append(await run.sample(db))

    few, many = [run.window(*pair).wal_bytes for pair in pairwise(samples)]
    assert 10 * 50 < few < many
    assert 1000 * 50 < many < 1000 * 5000


async def test_row_versions_of_all_partitions_count(app: Application) -> None:
    await app.db.execute(PARTITIONED)
    await app.db.execute("SELECT pg_stat_force_next_flush()")

    assert await app.db.fetchval(ROW_VERSIONS) == 4


async def test_row_versions_of_a_plain_table_count(app: Application) -> None:
    webhook = await app.webhook(await app.tenant(), "http://127.0.0.1:1/")
    await app.db.execute(
        "INSERT INTO webhook_deliveries (webhook_id, event_id) SELECT $1, gen_random_uuid()"
        " FROM generate_series(1, 3)",
        webhook,
    )
    await app.db.execute("UPDATE webhook_deliveries SET status = 'failed'")
    await app.db.execute("SELECT pg_stat_force_next_flush()")

    assert await app.db.fetchval(ROW_VERSIONS) >= 6


async def test_deliveries_that_never_come_end_the_wait_and_are_a_problem(
    bench: Bench, run: Installation
) -> None:
    load = await Load.prepared(bench, run, PLAIN)

    await load.deliver(3)

    assert bench.problems == [
        ": deliveries received in time: 0 instead of 3",
        ": everything recorded in time: 0 instead of 1",
    ]


async def test_rows_that_are_missing_are_a_problem(bench: Bench, run: Installation) -> None:
    load = await Load.prepared(bench, run, PLAIN)

    await load.recorded(2)

    assert bench.problems == [": rows of deliveries: 0 instead of 2"]
