"""Who may use the tables of stats: the roles of daemons, and no others."""

import shutil
from datetime import timedelta
from pathlib import Path

import asyncpg

from daemon.maintenance.stats_folding import StatsFolding
from daemon.runtime.package_data import package_file
from daemon.store import migrations, privileges, stats_batches, stats_folding
from daemon.store.database import Database
from tests.support.application import Application
from tests.support.results import attempt_result
from tests.support.roles import name_of, other_role

STATS = "0018_stats"
TABLES = (
    *("webhook_stats", "webhook_stats_batches", "webhook_stats_progress"),
    "webhook_stats_totals",
)
COUNT_RIGHTS = (
    "SELECT pg_catalog.count(*) FROM information_schema.role_table_grants WHERE grantee = $1"
)


async def test_a_role_that_leases_events_may_count_after_the_migration(
    empty_database: str, tmp_path: Path
) -> None:
    """Else no result could be stored from then on."""
    for file in package_file("migrations").glob("*.sql"):
        if file.stem < STATS:
            shutil.copy(file, tmp_path)
    await migrations.migrate(empty_database, folder=tmp_path)
    owner = await asyncpg.connect(empty_database)
    async with other_role(empty_database) as daemon_url, other_role(empty_database) as app_url:
        daemon, application = await asyncpg.connect(daemon_url), await asyncpg.connect(app_url)
        names = [await name_of(each) for each in (daemon, application)]
        await owner.execute(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {names[0]};"
            f" GRANT INSERT ON webhook_events TO {names[1]}"
        )

        await migrations.migrate(empty_database)

        missing = await privileges.missing_on_tables(daemon, with_api=True)
        assert [each for each in missing if each.object_name in TABLES] == []
        assert await owner.fetchval(COUNT_RIGHTS, names[1]) == 1
        for each in (daemon, application):
            await each.close()
    await owner.close()


async def test_stats_need_no_more_rights_than_are_checked(app: Application, database: str) -> None:
    async with other_role(database) as url:
        role = await asyncpg.connect(url)
        name = await name_of(role)
        for table in TABLES:
            needed = ", ".join(privileges.NEEDED[table])
            await app.db.execute(f"GRANT {needed} ON {table} TO {name}")
        await app.db.execute(f"GRANT SELECT, UPDATE ON webhooks TO {name}")
        await role.close()
        await _count_and_fold(app, url)


async def _count_and_fold(app: Application, url: str) -> None:
    webhook = await app.webhook(await app.tenant(), "https://receiver.example/")
    pool = Database(url, size=1)
    await pool.open()
    async with pool.transaction() as db:
        await stats_batches.add_batch(db, [attempt_result(200, webhook=webhook)])
    await StatsFolding(pool).run_once()
    async with pool.transaction() as db:
        deleted = [
            await stats_folding.delete_expired(
                db, older_than=timedelta(0), limit=10, minutes=minutes
            )
            for minutes in (1, 60)
        ]
        deleted.append(
            await stats_folding.delete_expired_totals(db, older_than=timedelta(0), limit=10)
        )
    await pool.close(within=timedelta(seconds=2))

    assert deleted == [1, 1, 1]
