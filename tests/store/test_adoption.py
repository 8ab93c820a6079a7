"""Tables that the application made as the specification prints them become like new ones."""

from collections.abc import AsyncIterator, Iterable, Iterator
from uuid import UUID, uuid4

import asyncpg
import pytest

from daemon.store import migrations, partitioning
from daemon.store.adoption import Adoption, Options, adopt
from daemon.store.adoption_rows import REASON
from daemon.store.adoption_tables import TABLES
from daemon.store.partitioning import Layout
from tests.support import specification
from tests.support.application import Application
from tests.support.catalog import catalog
from tests.support.daemons import serving, until
from tests.support.deliveries import nothing_pending
from tests.support.layouts import make
from tests.support.postgres import temporary_database
from tests.support.receiver import Receiver

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


@pytest.fixture
def new_database(postgres_url: str) -> Iterator[str]:
    """The URL of another database without tables."""
    with temporary_database(postgres_url) as url:
        yield url


async def test_adopted_tables_are_like_those_of_a_new_database(
    layout: Layout, db: asyncpg.Connection, empty_database: str, database: str
) -> None:
    if layout is not Layout.PARTITIONED:
        await specification.fill(db, events=3, deliveries=200)
    await migrate(empty_database)
    if layout is Layout.CONVERTED:
        await partitioning.convert(empty_database)

    assert await catalog(empty_database) == await catalog(database)
    assert await adopt(empty_database, UTC, say=silent) is None
    assert await migrations.migrate(empty_database) == []


TIMES = (
    *("2025-11-25 14:30:00.123456", "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"),
    *("infinity", "-infinity", "4713-01-01 00:00:00 BC", "294276-12-31 23:59:59", None),
)
INSERT_EVENT = """
    INSERT INTO webhook_events VALUES ($1::uuid, $2::uuid, NULL, NULL, $3::text::timestamp)
"""
READ_EVENTS = "SELECT id, (created_at AT TIME ZONE $1)::text AS time FROM webhook_events"
ODD_ROWS = f"""
    UPDATE webhooks SET is_active = NULL, is_failing = NULL, consecutive_failures = NULL,
                        created_at = NULL;
    INSERT INTO webhook_deliveries
           (id, webhook_id, event_id, attempt_number, attempted_at, status)
    SELECT gen_random_uuid(), '{specification.WEBHOOK}', gen_random_uuid(), NULL, NULL, status
      FROM unnest('{{unknown, NULL}}'::text[]) AS status
"""
FILE = "SELECT pg_relation_filenode($1::text::regclass)"


async def insert_events(db: asyncpg.Connection, times: Iterable[str | None]) -> dict[UUID, object]:
    events = {uuid4(): time for time in times}
    for event, time in events.items():
        await db.execute(INSERT_EVENT, event, specification.TENANT, time)
    return dict(events)


async def read_events(db: asyncpg.Connection, zone: str) -> dict[UUID, object]:
    return {row["id"]: row["time"] for row in await db.fetch(READ_EVENTS, zone)}


async def test_rows_keep_their_values_and_no_table_is_rewritten(
    db: asyncpg.Connection, empty_database: str
) -> None:
    await specification.fill(db, events=0, deliveries=0)
    events = await insert_events(db, TIMES)
    await db.execute(ODD_ROWS)
    files = [await db.fetchval(FILE, table) for table in TABLES]

    await migrate(empty_database)

    assert [await db.fetchval(FILE, table) for table in TABLES] == files
    assert await read_events(db, "UTC") == events
    [webhook] = await db.fetch("SELECT * FROM webhooks")
    health = ("is_active", "is_failing", "consecutive_failures", "created_at")
    assert [webhook[column] for column in health] == [False, False, 0, None]
    rows = await db.fetch(
        "SELECT attempt_number, attempted_at, status FROM webhook_deliveries ORDER BY 3"
    )
    assert [tuple(row) for row in rows] == [(1, None, "unknown"), (1, None, None)]


async def test_times_are_read_in_the_zone_in_which_the_application_wrote_them(
    db: asyncpg.Connection, empty_database: str
) -> None:
    await specification.fill(db, events=0, deliveries=0)
    # In summer, in winter, and in the hour that is there twice.
    times = ["2025-07-01 12:00:00", "2025-12-01 12:00:00", "2025-10-26 02:30:00", "infinity", None]
    events = await insert_events(db, times)

    await migrate(empty_database, Options(time_zone="europe/berlin"))

    assert await read_events(db, "Europe/Berlin") == events
    in_utc = {events[event]: time for event, time in (await read_events(db, "UTC")).items()}
    assert in_utc["2025-07-01 12:00:00"] == "2025-07-01 10:00:00"
    assert in_utc["2025-12-01 12:00:00"] == "2025-12-01 11:00:00"


PENDING = "SELECT id, next_retry_at FROM webhook_deliveries WHERE status = 'pending_retry'"


@pytest.mark.parametrize("send_pending", [False, True])
async def test_what_was_there_is_history_unless_pending_deliveries_are_to_be_sent(
    send_pending: bool, db: asyncpg.Connection, empty_database: str, receiver: Receiver
) -> None:
    await specification.fill(db, events=3, deliveries=200)
    await db.execute(specification.INSERT_PENDING, None)
    await db.execute("UPDATE webhooks SET endpoint_url = $1", receiver.url)
    pending = {row["id"] for row in await db.fetch(PENDING)}
    said: list[str] = []

    await adopt(empty_database, Options(send_pending=send_pending), say=said.append)
    await migrations.migrate(empty_database)
    await partitioning.convert(empty_database)
    app = Application(db)
    event = await app.event(UUID(specification.TENANT))
    expected = len(pending) + 1 if send_pending else 1
    async with serving(empty_database):
        await until(lambda: len(receiver.received) == expected)
        await until(lambda: nothing_pending(app))

    assert len(pending) == 3
    assert len(receiver.received) == expected
    assert f"evt_{event.hex}" in {request.event["id"] for request in receiver.received}
    rows = await db.fetch("SELECT id, status, error_message FROM webhook_deliveries")
    became = {(row["status"], row["error_message"]) for row in rows if row["id"] in pending}
    assert became == ({("success", None)} if send_pending else {("failed", REASON)})
    failed = 0 if send_pending else 3
    assert said[-1] == f"history, not sent: events: 3, pending deliveries: {failed}"


async def test_a_part_of_the_tables_is_adopted_and_the_others_are_made(
    db: asyncpg.Connection, empty_database: str, new_database: str
) -> None:
    await db.execute("DROP TABLE webhook_events, webhook_deliveries")

    await migrate(empty_database)

    await make(new_database, Layout.PARTITIONED)
    assert await catalog(empty_database) == await catalog(new_database)


async def test_a_table_with_keys_of_other_names_and_stricter_columns_is_adopted(
    db: asyncpg.Connection, empty_database: str, new_database: str
) -> None:
    await db.execute(
        "ALTER TABLE webhook_deliveries RENAME CONSTRAINT webhook_deliveries_pkey TO pk;"
        "ALTER TABLE webhook_deliveries RENAME CONSTRAINT webhook_deliveries_webhook_id_fkey"
        ' TO "the key";'
        "ALTER TABLE webhooks DROP CONSTRAINT webhooks_tenant_id_fkey;"
        "ALTER TABLE webhook_deliveries ALTER status SET NOT NULL, ALTER event_type SET NOT NULL,"
        " ALTER attempted_at TYPE TIMESTAMP(3), ALTER next_retry_at TYPE TIMESTAMPTZ(0)"
    )
    await specification.fill(db, events=3, deliveries=200)

    await migrate(empty_database)
    await partitioning.convert(empty_database)

    await make(new_database, Layout.CONVERTED)
    assert await catalog(empty_database) == await catalog(new_database)
