"""Tables that the application made as the specification prints them become like new ones."""

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from daemon.store import migrations, partitioning
from daemon.store.adoption import Adoption, Options, adopt
from daemon.store.partitioning import Layout
from tests.support import specification
from tests.support.layouts import make
from tests.support.postgres import temporary_database

UTC = Options()


def silent(_: str) -> None:
    pass


@pytest.fixture
async def db(empty_database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the application, whose tables are as the specification prints them."""
    connection = await asyncpg.connect(empty_database)
    await specification.create_tables(connection)
    yield connection
    await connection.close()


async def migrate(url: str, options: Options = UTC) -> Adoption | None:
    """What `webhookd migrate` does, without the conversion to partitions."""
    adopted = await adopt(url, options, say=silent)
    await migrations.migrate(url)
    return adopted


CATALOG = """
    SELECT c.relname AS of_table, 'column ' || a.attname AS name,
           concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull,
                     pg_get_expr(d.adbin, d.adrelid)) AS definition
      FROM pg_attribute AS a
      JOIN pg_class AS c ON c.oid = a.attrelid
      LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
       AND a.attnum > 0 AND NOT a.attisdropped
     UNION ALL
    SELECT conrelid::regclass::text, 'constraint ' || conname,
           pg_get_constraintdef(oid) || ' ' || convalidated
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
     UNION ALL
    SELECT i.indrelid::regclass::text, 'index ' || i.indexrelid::regclass,
           pg_get_indexdef(i.indexrelid) || i.indisvalid
      FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
     WHERE c.relnamespace = 'public'::regnamespace
     UNION ALL
    SELECT t.tgrelid::regclass::text, 'trigger ' || tgname, pg_get_triggerdef(t.oid) || tgenabled::text
      FROM pg_trigger AS t WHERE NOT tgisinternal
     UNION ALL
    SELECT relname, 'options', relkind::text || coalesce(reloptions::text, '')
      FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
     UNION ALL
    SELECT 'functions', p.oid::regprocedure::text, md5(pg_get_functiondef(p.oid)) || coalesce(p.proacl::text, '')
      FROM pg_proc AS p WHERE p.pronamespace = 'public'::regnamespace
"""


async def catalog(url: str) -> set[tuple[str, ...]]:
    """Every column, constraint, index, trigger, function and option, save those of `tenants`."""
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(CATALOG)
    await connection.close()
    return {tuple(row) for row in rows if row["of_table"] != "tenants"}


@pytest.fixture
def new_database(postgres_url: str) -> Iterator[str]:
    """The URL of another database without tables."""
    with temporary_database(postgres_url) as url:
        yield url


@pytest.mark.parametrize("layout", [pytest.param(each, id=each.value) for each in Layout])
async def test_adopted_tables_are_like_those_of_a_new_database(
    layout: Layout, db: asyncpg.Connection, empty_database: str, new_database: str
) -> None:
    if layout is not Layout.PARTITIONED:
        await specification.fill(db, events=3, deliveries=200)
    await migrate(empty_database)
    if layout is Layout.CONVERTED:
        await partitioning.convert(empty_database)

    await make(new_database, layout)
    assert await catalog(empty_database) == await catalog(new_database)
    assert await adopt(empty_database, UTC, say=silent) is None
    assert await migrations.migrate(empty_database) == []
