"""A schema that appears in the search path while a session lives is not searched by it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import asyncpg
import pytest

from daemon.store.connection import connected
from daemon.store.database import Database
from daemon.store.session import Connection
from tests.support.application import Application
from tests.support.roles import connected_as_other_role, name_of, other_role

SCHEMA_OF = """
    SELECT relnamespace::regnamespace::text
      FROM pg_class WHERE oid = to_regclass('webhook_stats_batches')
"""
# As the daemon, this role would run what is attached to the tables here.
IMITATE = """
    CREATE SCHEMA {role};
    CREATE TABLE {role}.webhook_stats_batches (minute timestamptz);
    GRANT ALL ON SCHEMA {role} TO PUBLIC; GRANT ALL ON ALL TABLES IN SCHEMA {role} TO PUBLIC
"""


@asynccontextmanager
async def pool(url: str, *, pooled: bool) -> AsyncIterator[Database]:
    database = Database(url, size=1, pooled=pooled)
    await database.open()
    yield database
    await database.close(within=timedelta(seconds=1))


@pytest.fixture
async def daemon_url(database: str) -> AsyncIterator[str]:
    """The URL of a role that may read what the daemon's may."""
    async with other_role(database) as url:
        owner = await asyncpg.connect(database)
        await owner.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {urlsplit(url).username}")
        yield url
        await owner.close()


async def imitate(database: str, app: Application, daemon_url: str) -> None:
    """Let the application's role create a schema with the name of the daemon's role."""
    async with connected_as_other_role(database) as application:
        name = await name_of(application)
        in_database = urlsplit(database).path.removeprefix("/")
        await app.db.execute(f"GRANT CREATE ON DATABASE {in_database} TO {name}")
        daemon = urlsplit(daemon_url).username
        await application.execute(IMITATE.format(role=daemon))
        await app.db.execute(f"REASSIGN OWNED BY {name} TO pg_monitor")  # the role is dropped


async def schema_of(db: Connection) -> str | None:
    found: str | None = await db.fetchval(SCHEMA_OF)
    return found


@pytest.mark.parametrize("pooled", [False, True])
async def test_a_schema_with_the_daemons_name_is_not_searched(
    database: str, app: Application, daemon_url: str, pooled: bool
) -> None:
    async with pool(daemon_url, pooled=pooled) as old:
        async with old.connection() as db:
            before = await schema_of(db)
        await imitate(database, app, daemon_url)
        async with old.connection() as db:
            meanwhile = await schema_of(db)
        async with old.transaction() as db:
            in_transaction = await schema_of(db)
    async with pool(daemon_url, pooled=pooled) as new, new.connection() as db:
        afterwards = await schema_of(db)

    found = [before, meanwhile, in_transaction, afterwards]
    assert found == ["public"] * 4


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("plain", [False, True])
async def test_commands_and_migrations_do_not_search_it_either(
    database: str, app: Application, daemon_url: str, plain: bool, pooled: bool
) -> None:
    await imitate(database, app, daemon_url)

    async with connected(daemon_url, plain=plain, pooled=pooled) as db:
        assert await schema_of(db) == "public"


@pytest.mark.parametrize("pooled", [False, True])
async def test_a_schema_of_the_roles_own_is_searched_first(
    database: str, app: Application, daemon_url: str, pooled: bool
) -> None:
    role = urlsplit(daemon_url).username
    await app.db.execute(
        f"CREATE SCHEMA AUTHORIZATION {role}; CREATE TABLE {role}.webhook_stats_batches ()"
    )

    async with pool(daemon_url, pooled=pooled) as own, own.connection() as db:
        assert await schema_of(db) == role


@pytest.mark.parametrize("pooled", [False, True])
async def test_the_path_of_the_role_is_kept_and_odd_names_are_quoted(
    app: Application, daemon_url: str, pooled: bool
) -> None:
    role = urlsplit(daemon_url).username
    await app.db.execute(
        f'CREATE SCHEMA "Odd, ""name"; CREATE TABLE "Odd, ""name".webhook_stats_batches ();'
        f'GRANT USAGE ON SCHEMA "Odd, ""name" TO {role};'
        f'ALTER ROLE {role} SET search_path = missing, "Odd, ""name", public'
    )

    async with pool(daemon_url, pooled=pooled) as database, database.connection() as db:
        assert await schema_of(db) == '"Odd, ""name"'
        assert await db.fetchval("SHOW search_path") == '"Odd, ""name", public, pg_temp'


@pytest.mark.parametrize("pooled", [False, True])
async def test_a_temporary_table_shadows_none_of_ours(
    app: Application, daemon_url: str, pooled: bool
) -> None:
    async with pool(daemon_url, pooled=pooled) as database, database.transaction() as db:
        await db.execute("CREATE TEMPORARY TABLE webhook_stats_batches (minute timestamptz)")

        assert await schema_of(db) == "public"
