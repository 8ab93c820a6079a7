"""Rows that the application writes in one server, and logical replication brings to another."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from daemon.maintenance.application_rows import ApplicationRows
from daemon.runtime.metrics import Metrics
from daemon.store import migrations, subscribers
from daemon.store.database import Database
from daemon.store.partitioning import Layout
from tests.support.application import Application
from tests.support.checked import checked
from tests.support.commandline import webhookd
from tests.support.daemons import serving, until
from tests.support.deliveries import insert_delivery
from tests.support.layouts import make
from tests.support.postgres import temporary_database, temporary_server
from tests.support.receiver import Receiver
from tests.support.replication import subscribed
from tests.support.specification import create_tables

INBOX_IS_EMPTY = "SELECT WHERE NOT EXISTS (SELECT FROM webhook_event_inbox)"
NO_WEBHOOKS = "SELECT WHERE NOT EXISTS (SELECT FROM webhooks)"

RUNS = "SELECT FROM pg_stat_subscription WHERE relid IS NULL AND pid IS NOT NULL"
STOPPED = f"SELECT WHERE NOT EXISTS ({RUNS})"

REFERRING = """
    SELECT conrelid::regclass::text AS name, attname AS column
      FROM pg_constraint AS k
      JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
     WHERE k.confrelid = 'webhooks'::regclass AND k.contype = 'f' AND k.conparentid = 0
"""


NIL = UUID(int=0)
NOT_FOUND = (
    "replication: webhook_events gets rows by the subscription copies, and they will not be found:"
    " run `webhookd migrate --subscriber`"
)


NOT_RUNNING = (
    "replication: nothing comes by the subscription copies: its worker does not run;"
    " PostgreSQL's log says why"
)


@pytest.fixture(scope="module")
def publishing_server() -> Iterator[str]:
    with temporary_server(wal_level="logical", max_prepared_transactions="5") as url:
        yield url


@pytest.fixture(scope="module")
def subscribing_server() -> Iterator[str]:
    with temporary_server(max_prepared_transactions="5") as url:
        yield url


@pytest.fixture
def published(publishing_server: str) -> Iterator[str]:
    """The URL of the application's database, still empty."""
    with temporary_database(publishing_server) as url:
        yield url


@pytest.fixture
def database(subscribing_server: str) -> Iterator[str]:
    """The URL of the daemon's database, still empty, in another server."""
    with temporary_database(subscribing_server) as url:
        yield url


@pytest.fixture
async def app(published: str) -> AsyncIterator[Application]:
    """The application, connected to its own database, where it has the specification's tables."""
    connection = await asyncpg.connect(published)
    await create_tables(connection)
    yield Application(connection)
    await connection.close()


async def migrate(folder: Path, url: str, *options: str) -> list[str]:
    """The lines that the command prints; it succeeds."""
    ended = await webhookd("migrate", *options, folder=folder, env={"DATABASE_URL": url})
    assert (ended.code, ended.err) == (0, "")
    return ended.out.splitlines()


async def webhook_in(url: str, tenant: UUID, endpoint_url: str) -> UUID:
    """Insert a webhook into the daemon's database."""
    db = await asyncpg.connect(url)
    await db.execute("INSERT INTO tenants (id) VALUES ($1)", tenant)
    webhook = await Application(db).webhook(tenant, endpoint_url)
    await db.close()
    return webhook


async def insert_event(
    app: Application,
    tenant: UUID,
    event: UUID | None = None,
    *,
    type: str = "email.opened",  # noqa: A002  the event body's member
) -> UUID:
    """Insert an event in the specification's tables, whose times have no zone."""
    event = event or uuid4()
    await app.db.execute(
        "INSERT INTO webhook_events (id, tenant_id, event_type, event_data)"
        " VALUES ($1, $2, $3, '{}')",
        *(event, tenant, type),
    )
    return event


async def fetch(url: str, query: str, *arguments: object) -> list[asyncpg.Record]:
    db = await asyncpg.connect(url)
    try:
        rows: list[asyncpg.Record] = await db.fetch(query, *arguments)
    finally:
        await db.close()
    return rows


def received_events(receiver: Receiver) -> list[str]:
    return sorted(each.event["id"] for each in receiver.received)


def wire_ids(events: list[UUID]) -> list[str]:
    return sorted(f"evt_{each.hex}" for each in events)


async def test_events_are_delivered_but_for_those_from_before_the_subscription(
    tmp_path: Path, published: str, database: str, app: Application, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    history = await app.events(tenant, 3)
    dry = await migrate(tmp_path, database, "--subscriber", "--dry-run")
    done = await migrate(tmp_path, database, "--subscriber")
    again = await migrate(tmp_path, database, "--subscriber")
    await webhook_in(database, tenant, receiver.url)

    async with subscribed(published, database, "webhook_events"), serving(database):
        several = await app.events(tenant, 3)
        one = await insert_event(app, tenant)
        await until(lambda: len(receiver.received) == 4)
        await until(lambda: fetch(database, INBOX_IS_EMPTY))
        code, messages = await checked(tmp_path, database)

    assert dry[-1] == "missing triggers for rows that logical replication brings"
    assert done[-1] == "created triggers for rows that logical replication brings"
    assert again == ["the schema is up to date"]
    assert received_events(receiver) == wire_ids([*several, one])
    assert len(await fetch(database, "SELECT FROM webhook_events")) == 4 + len(history)
    assert (code, messages["error"]) == (0, [])
    assert not any("replication" in each for each in messages["warning"])


async def test_without_the_option_check_and_the_log_say_that_rows_are_not_found(
    tmp_path: Path, published: str, database: str, app: Application
) -> None:
    await migrate(tmp_path, database)
    pool = Database(database, size=1)
    await pool.open()
    async with subscribed(published, database, "webhook_events"):
        missed = await insert_event(app, await app.tenant())
        await until(lambda: fetch(database, "SELECT FROM webhook_events WHERE id = $1", missed))
        inbox = await fetch(database, "SELECT FROM webhook_event_inbox")
        code, messages = await checked(tmp_path, database)
        loop = ApplicationRows(pool, Metrics(), rest_seconds=0.0)
        with capture_logs() as logs:
            await loop.run_once()
            await loop.run_once()
        await migrate(tmp_path, database, "--subscriber")
        later_code, _ = await checked(tmp_path, database)
        with capture_logs() as later_logs:
            await loop.run_once()
    await pool.close(within=timedelta(seconds=1))

    assert (inbox, code, later_code) == ([], 1, 0)
    assert messages["error"] == [NOT_FOUND]
    warned = [each for each in logs if each["event"] == "rows.not_found"]
    assert [(each["table"], each["subscription"]) for each in warned] == [
        ("webhook_events", "copies")
    ]
    assert not any(each["event"] == "rows.not_found" for each in later_logs)


async def test_replicated_webhooks_are_matched_as_they_change_and_deleted_with_what_they_have(
    tmp_path: Path, published: str, database: str, app: Application, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    await migrate(tmp_path, database, "--subscriber")

    async with (
        subscribed(published, database, "webhooks", "webhook_events"),
        serving(database),
    ):
        webhook = await app.webhook(tenant, receiver.url, types=["email.opened"])
        first = await insert_event(app, tenant)
        await until(lambda: len(receiver.received) == 1)
        await app.db.execute(
            "UPDATE webhooks SET event_types = '{email.clicked}' WHERE id = $1", webhook
        )
        await insert_event(app, tenant)  # which it does not want any more
        clicked = await insert_event(app, tenant, type="email.clicked")
        await until(lambda: len(receiver.received) == 2)
        await app.db.execute("DELETE FROM webhooks WHERE id = $1", webhook)
        await until(lambda: fetch(database, NO_WEBHOOKS))

    assert received_events(receiver) == wire_ids([first, clicked])
    for table in await fetch(database, REFERRING):
        left = await fetch(database, f"SELECT FROM {table['name']}")
        assert (table["name"], left) == (table["name"], [])
    assert await fetch(database, "SELECT FROM webhook_history") != []


async def test_a_webhook_that_gets_another_id_loses_what_it_had_under_the_former_one(
    tmp_path: Path, published: str, database: str, app: Application, receiver: Receiver
) -> None:
    await migrate(tmp_path, database, "--subscriber")

    async with (
        subscribed(published, database, "webhooks", "webhook_events"),
        serving(database),
    ):
        webhook = await app.webhook(await app.tenant(), "http://127.0.0.1:9/")
        await until(lambda: fetch(database, "SELECT FROM webhooks"))
        db = await asyncpg.connect(database)
        await insert_delivery(Application(db), webhook)
        await db.close()
        await app.db.execute(
            "UPDATE webhooks SET id = $2, endpoint_url = $3 WHERE id = $1",
            *(webhook, uuid4(), receiver.url),
        )
        other = await app.tenant()
        await app.webhook(other, receiver.url, webhook_id=webhook)
        event = await insert_event(app, other)
        await until(lambda: receiver.received)
        left = await fetch(database, "SELECT event_id FROM webhook_deliveries")

    assert received_events(receiver) == wire_ids([event])
    assert [row["event_id"] for row in left] in ([event], [])


async def test_what_constraints_refuse_elsewhere_does_not_stop_replication(
    tmp_path: Path, published: str, database: str, app: Application, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    await migrate(tmp_path, database, "--subscriber")

    async with (
        subscribed(published, database, "webhooks", "webhook_events"),
        serving(database),
    ):
        await app.webhook(tenant, receiver.url, webhook_id=NIL)
        unset = await app.webhook(tenant, receiver.url)
        await app.db.execute(
            "UPDATE webhooks SET is_active = NULL, is_failing = NULL, consecutive_failures = NULL"
            " WHERE id = $1",
            unset,
        )
        db = await asyncpg.connect(database)
        [here] = await Application(db).events(tenant, 1)
        await db.close()
        await insert_event(app, tenant, here)
        later = await insert_event(app, tenant)
        await until(lambda: len(receiver.received) == 2)

    assert received_events(receiver) == wire_ids([here, later])
    assert [row["id"] for row in await fetch(database, "SELECT id FROM webhooks")] == [unset]


async def test_the_publisher_does_not_change_where_an_operator_s_webhook_leads(
    tmp_path: Path, published: str, database: str, app: Application, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    await migrate(tmp_path, database, "--subscriber")

    async with subscribed(published, database, "webhooks", "webhook_events"), serving(database):
        webhook = await app.webhook(tenant, receiver.url, types=["email.opened"])
        await until(lambda: fetch(database, "SELECT FROM webhooks"))
        await fetch(
            database,
            "WITH accepted AS (INSERT INTO webhook_operator_scopes (webhook_id) VALUES ($1))"
            " UPDATE webhooks SET scope = 'operator' WHERE id = $1",
            webhook,
        )
        await app.db.execute(
            "UPDATE webhooks SET endpoint_url = 'http://127.0.0.1:9/', name = 'Renamed'"
            " WHERE id = $1",
            webhook,
        )
        await app.db.execute("UPDATE webhooks SET id = $2 WHERE id = $1", webhook, uuid4())
        await app.webhook(tenant, receiver.url, webhook_id=webhook)
        own = await app.webhook(tenant, receiver.url)
        await insert_event(app, tenant)
        await until(lambda: receiver.received)
        query = "SELECT endpoint_url, scope, name FROM webhooks WHERE id = $1"
        [kept] = await fetch(database, query, webhook)

    assert tuple(kept) == (receiver.url, "operator", "Renamed")
    assert len(await fetch(database, "SELECT FROM webhooks WHERE id = $1", own)) == 1


async def test_a_subscription_that_stops_is_reported(
    tmp_path: Path, published: str, database: str, app: Application
) -> None:
    tenant = await app.tenant()
    await migrate(tmp_path, database, "--subscriber")
    pool, metrics = Database(database, size=1), Metrics()
    await pool.open()
    loop = ApplicationRows(pool, metrics, rest_seconds=0.0)
    logged = []
    async with subscribed(published, database, "webhook_events"):
        before = await checked(tmp_path, database)
        await app.db.execute("ALTER TABLE webhook_events ADD COLUMN note text")
        await insert_event(app, tenant)
        await until(lambda: fetch(database, STOPPED))
        code, messages = await checked(tmp_path, database)
        for _ in range(3):
            with capture_logs() as logs:
                await loop.run_once()
            logged.append([each["event"] for each in logs])
        text = metrics.render().decode()
        await fetch(database, "ALTER TABLE webhook_events ADD COLUMN note text")
        await until(lambda: fetch(database, "SELECT FROM webhook_events"))
        await until(lambda: fetch(database, RUNS))
        with capture_logs() as logs:
            await loop.run_once()
        logged.append([each["event"] for each in logs])
        await fetch(database, "ALTER SUBSCRIPTION copies DISABLE")
        await until(lambda: fetch(database, STOPPED))
        disabled = await checked(tmp_path, database)
    await pool.close(within=timedelta(seconds=1))

    assert before[0] == 0
    assert (code, messages["error"]) == (1, [NOT_RUNNING])
    assert logged == [[], ["replication.stopped"], [], ["replication.goes_on"]]
    assert "webhookd_subscriptions_stopped 1.0" in text
    assert disabled[0] == 0
    assert any("it is disabled" in each for each in disabled[1]["warning"])


async def test_a_worker_that_waits_for_a_lock_is_reported(
    tmp_path: Path,
    published: str,
    database: str,
    app: Application,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subscribers, "LONG_WAIT", timedelta(seconds=0.1))
    await migrate(tmp_path, database, "--subscriber")
    async with subscribed(published, database, "webhooks", "webhook_events"):
        webhook = await app.webhook(await app.tenant(), "http://127.0.0.1:9/")
        await until(lambda: fetch(database, "SELECT FROM webhooks"))
        holder = await asyncpg.connect(database)
        await holder.execute("BEGIN")
        await holder.fetch("SELECT FROM webhooks WHERE id = $1 FOR UPDATE", webhook)
        before = await subscribers.stopped(holder)
        await app.db.execute("UPDATE webhooks SET name = 'Renamed' WHERE id = $1", webhook)

        async def found() -> list[str]:
            db = await asyncpg.connect(database)  # the holder's now() stands still
            try:
                return [each.reason for each in await subscribers.stopped(db)]
            finally:
                await db.close()

        await until(found)
        reasons = await found()
        await holder.close()

    assert before == []
    assert [each.partition(" of")[0] for each in reasons] == ["its worker waits for a lock"]


async def test_every_table_that_refers_to_a_webhook_is_emptied_with_it(database: str) -> None:
    await migrations.migrate(database)
    body = (
        await fetch(
            database,
            "SELECT prosrc FROM pg_proc WHERE proname = 'webhook_deletion_replicated'",
        )
    )[0]["prosrc"]

    tables = await fetch(database, REFERRING)
    assert len(tables) >= 7
    for table in tables:
        statement = f"DELETE FROM {table['name']} WHERE {table['column']} = OLD.id;"
        assert statement in body


@pytest.mark.parametrize("layout", [Layout.PARTITIONED, Layout.PLAIN])
async def test_deliveries_that_were_pending_before_the_subscription_are_not_sent(
    published: str, database: str, app: Application, receiver: Receiver, layout: Layout
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    before = await insert_pending(app, webhook)
    await make(database, layout)
    await subscribers.enable(database, asked=True)

    async with (
        subscribed(published, database, "webhooks", "webhook_deliveries"),
        serving(database),
    ):
        later = await insert_pending(app, webhook)
        await until(lambda: len(receiver.received) == 1)

    rows = await fetch(database, "SELECT id, status, error_message FROM webhook_deliveries")
    assert {row["id"]: row["status"] for row in rows} == {before: "failed", later: "success"}
    assert receiver.received[0].headers["x-penguinmails-delivery-id"] == str(later)
    assert [row["error_message"] for row in rows if row["id"] == before] == [
        "not sent: it was pending before the subscription of this database began"
    ]


async def insert_pending(app: Application, webhook: UUID) -> UUID:
    delivery = uuid4()
    await app.db.execute(
        "INSERT INTO webhook_deliveries (id, webhook_id, event_id, event_type, payload, status,"
        " next_retry_at) VALUES ($1, $2, $3, 'email.opened', '{}', 'pending_retry', now())",
        delivery,
        webhook,
        uuid4(),
    )
    return delivery


async def test_prepared_transactions_are_replicated_as_such_and_delivered(
    tmp_path: Path, published: str, database: str, app: Application, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    await migrate(tmp_path, database, "--subscriber")

    async with (
        subscribed(
            *(published, database, "webhooks", "webhook_events", "webhook_deliveries"),
            options=", two_phase = true",
        ),
        serving(database),
    ):
        await app.db.execute("BEGIN")
        webhook = await app.webhook(tenant, receiver.url)
        event = await insert_event(app, tenant)
        await insert_pending(app, webhook)
        await app.db.execute("PREPARE TRANSACTION 'application'")
        try:
            await until(lambda: fetch(database, "SELECT FROM pg_prepared_xacts"))
            assert receiver.received == []
        finally:
            await app.db.execute("COMMIT PREPARED 'application'")
        await until(lambda: len(receiver.received) == 2)

    assert wire_ids([event])[0] in received_events(receiver)


async def test_times_are_read_in_the_time_zone_of_the_subscription_s_owner(
    tmp_path: Path, published: str, database: str, app: Application
) -> None:
    await migrate(tmp_path, database, "--subscriber")
    login = urlsplit(database)
    await fetch(
        database,
        f"ALTER ROLE {login.username} IN DATABASE {login.path[1:]} SET timezone = 'Asia/Tokyo'",
    )
    async with subscribed(published, database, "webhook_events"):
        await app.db.execute(
            "INSERT INTO webhook_events (id, tenant_id, event_type, created_at)"
            " VALUES ($1, $2, 'email.opened', '2026-01-01 12:00:00')",
            *(uuid4(), await app.tenant()),
        )
        await until(lambda: fetch(database, "SELECT FROM webhook_events"))

    found = await fetch(database, "SELECT created_at FROM webhook_events")
    assert found[0]["created_at"] == datetime(2026, 1, 1, 3, tzinfo=UTC)


async def test_an_event_that_is_inserted_twice_in_a_transaction_does_not_stop_replication(
    tmp_path: Path, published: str, database: str, app: Application, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    await migrate(tmp_path, database, "--subscriber")
    await webhook_in(database, tenant, receiver.url)

    async with subscribed(published, database, "webhook_events"), serving(database):
        async with app.db.transaction():
            event = await insert_event(app, tenant)
            await app.db.execute("DELETE FROM webhook_events WHERE id = $1", event)
            await insert_event(app, tenant, event)
        await until(lambda: receiver.received)

    assert received_events(receiver) == wire_ids([event])


async def test_a_copy_of_an_installation_is_not_made_a_subscriber(
    tmp_path: Path, published: str, database: str
) -> None:
    for url in (published, database):
        await migrations.migrate(url)

    async with subscribed(published, database, "webhook_events", "webhook_event_inbox"):
        refused = await webhookd(
            "migrate", "--subscriber", folder=tmp_path, env={"DATABASE_URL": database}
        )
        code, messages = await checked(tmp_path, database)

    assert refused.code == 1
    assert "this database is a copy of an installation" in refused.err
    assert (code, messages["error"]) == (0, [])
    assert any("is a copy of an installation" in each for each in messages["warning"])


async def test_triggers_that_later_migrations_create_fire_for_replicated_rows_too(
    tmp_path: Path, database: str
) -> None:
    await migrate(tmp_path, database, "--subscriber")
    await fetch(database, "ALTER TABLE webhooks ENABLE TRIGGER webhooks_switched")
    await fetch(database, "DROP TRIGGER webhooks_replicated ON webhooks")  # 0034 had none

    said = await migrate(tmp_path, database)

    assert said[-1] == "created triggers for rows that logical replication brings"
    assert await migrate(tmp_path, database) == ["the schema is up to date"]


async def test_rows_that_the_application_inserts_itself_still_come_once(
    tmp_path: Path, database: str, receiver: Receiver
) -> None:
    await migrate(tmp_path, database, "--subscriber")
    tenant = uuid4()
    webhook = await webhook_in(database, tenant, receiver.url)
    db = await asyncpg.connect(database)
    app = Application(db)

    events = await app.events(tenant, 3)
    inbox = await db.fetch("SELECT event_id FROM webhook_event_inbox")
    pending = await insert_delivery(app, webhook, status="pending_retry")
    status = await db.fetchval("SELECT status FROM webhook_deliveries WHERE id = $1", pending)
    await db.close()

    assert sorted(row["event_id"] for row in inbox) == sorted(events)
    assert status == "pending_retry"
