"""
Roles that may create in the schema of the tables run nothing as the daemon.

Two promises: each call of our SQL is exact, so that no overload is preferred to PostgreSQL's own;
and `webhookd migrate` refuses a database that has such overloads, because its first migrations were
published before that was so.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from daemon.core.errors import MigrationError
from daemon.store import migrations, partitioning, type_lookup
from daemon.store.session import prepare
from tests.admin.test_access import OPERATIONS
from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application
from tests.support.audit import TOKENS, Calls
from tests.support.daemons import until
from tests.support.deliveries import SHORT, insert_delivery, settled
from tests.support.erasure import erased
from tests.support.hostile_overloads import create_overloads, statements, were_called
from tests.support.layouts import add_partition, partition_name
from tests.support.operational import scoped_webhook
from tests.support.postgres import run_in_new_loop, temporary_database
from tests.support.receiver import Receiver, Reply, receiving
from tests.support.retention import prune

FIRST_EXACT = "0006_inbox_leases"


@pytest.fixture(autouse=True)
def look_types_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """An earlier test's lookup must not stand in for one that would call an overload."""
    monkeypatch.setattr(type_lookup, "_found", {})


@pytest.fixture(scope="module")
def hostile_role(postgres_url: str) -> Iterator[str]:
    name = f"hostile_{uuid4().hex[:8]}"
    run_in_new_loop(_execute(postgres_url, f"CREATE ROLE {name}"))
    yield name
    run_in_new_loop(_execute(postgres_url, f"DROP ROLE {name}"))


@pytest.fixture(scope="module")
def hostile_database(postgres_url: str, migrated_template: str, hostile_role: str) -> Iterator[str]:
    """A migrated database with overloads of everything that our SQL calls."""
    with temporary_database(postgres_url, template=migrated_template) as url:
        run_in_new_loop(_make_hostile(url, hostile_role))
        yield url


@pytest.fixture
async def daemon_role(hostile_database: str) -> AsyncIterator[str]:
    """A role that has all rights on the tables, and our functions."""
    name = f"daemon_{uuid4().hex[:8]}"
    await _execute(
        hostile_database,
        f"CREATE ROLE {name}; GRANT ALL ON ALL TABLES IN SCHEMA public TO {name};"
        f" GRANT USAGE ON SCHEMA public TO {name};"
        f" GRANT EXECUTE ON FUNCTION webhook_payload_bytes(jsonb, bigint),"
        f" webhook_exploded_bytes(jsonb, bigint), webhook_partition_obstacles(),"
        f" webhook_add_history_partition(integer), webhook_drop_history_partition(interval),"
        f" webhook_history_partitions(), webhook_dependents(oid),"
        f" webhook_history_dependents(interval),"
        f" webhook_partition_deliveries() TO {name}",
    )
    yield name
    await _execute(hostile_database, f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.fixture
async def hostile_app(hostile_database: str) -> AsyncIterator[Application]:
    """The application, which sees the tables through views: the tests' own SQL is not exact."""
    connection = await asyncpg.connect(hostile_database)
    await connection.execute(f"{VIEWS}; SET search_path = seen")
    yield Application(connection)
    await connection.close()


VIEWS = """
    DROP SCHEMA IF EXISTS seen CASCADE;
    CREATE SCHEMA seen;
    DO $$
    DECLARE
        tables CONSTANT name[] := ARRAY(SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')
                                        AND relnamespace = 'public'::regnamespace::oid);
        found name;
    BEGIN
        FOREACH found IN ARRAY tables LOOP
            EXECUTE pg_catalog.format('CREATE VIEW seen.%1$I AS SELECT * FROM public.%1$I', found);
        END LOOP;
    END $$
"""


@pytest.fixture
async def hostile_session(
    hostile_database: str, daemon_role: str
) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the daemon's are, of a role that may not execute the overloads."""
    connection = await asyncpg.connect(hostile_database)
    await prepare(connection)
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    await connection.execute(f"SET ROLE {daemon_role}")
    yield connection
    await connection.close()


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(sql)
    await connection.close()


async def _make_hostile(url: str, role: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(f"GRANT CREATE ON SCHEMA public TO {role}")
    await create_overloads(connection, role)
    await connection.close()


async def types_of(connection: asyncpg.Connection, sql: str) -> list[str]:
    """The types that a statement returns, or the reason why it cannot be parsed or planned."""
    try:
        statement = await connection.prepare(sql)
        values = ", ".join("NULL" for _ in statement.get_parameters())
        # This makes everything ready that may be called, in branches that are not taken, too.
        await connection.execute(f"PREPARE planned AS {sql}")
        await connection.execute(f"EXPLAIN EXECUTE planned {values and f'({values})'}")
        await connection.execute("DEALLOCATE planned")
    except asyncpg.PostgresError as error:
        await connection.execute("DEALLOCATE ALL")
        return [str(error)]
    return [each.type.name for each in statement.get_attributes()]


async def test_no_statement_has_another_meaning_beside_hostile_overloads(
    app: Application, hostile_session: asyncpg.Connection
) -> None:
    await prepare(app.db)

    ours = statements()

    found = {name: await types_of(hostile_session, sql) for name, sql in ours.items()}

    assert found == {name: await types_of(app.db, sql) for name, sql in ours.items()}
    assert len(found) > 150


async def test_an_inexact_statement_would_call_an_overload(
    hostile_session: asyncpg.Connection,
) -> None:
    inexact = "SELECT id FROM webhooks WHERE name = 'x'"
    refused = "argument of WHERE must be type boolean, not type hostile"
    unread = "SELECT CASE WHEN is_active THEN 1 WHEN length(name) IS NULL THEN 2 END FROM webhooks"

    assert await types_of(hostile_session, inexact) == [refused]
    assert await types_of(hostile_session, unread) == ["permission denied for function length"]


async def test_the_daemon_s_work_calls_no_hostile_overload(
    hostile_database: str, hostile_app: Application
) -> None:
    app = hostile_app
    tenant = await app.tenant()
    with capture_logs() as lines:
        async with (
            receiving() as receiver,
            serving_api(hostile_database, tenant, admin=TOKENS, delivery=SHORT) as operator,
        ):
            await _deliver(app, tenant, receiver)
            await _call_every_operation(app, operator, tenant, receiver)
            receiver.answer = lambda _: Reply(200)
            await until(lambda: app.db.fetchval(NO_REPLAY_RUNS))
    await prune(hostile_database)
    await erased(hostile_database, tenant, "sarah@example.com")
    await erased(hostile_database, tenant)

    assert [each for each in lines if each["log_level"] in ("error", "critical")] == []
    assert not await were_called(app.db)


NO_REPLAY_RUNS = "SELECT count(*) = 0 FROM webhook_replays WHERE status::text = 'running'"


async def _deliver(app: Application, tenant: UUID, receiver: Receiver) -> None:
    """Deliver events at once and after failures, of which one is the last."""
    answers = iter([500, 500, 200])
    receiver.answer = lambda _: Reply(next(answers, 200))
    webhook = await app.webhook(tenant, receiver.url, filters={"campaign_ids": ["c_1"]})
    await app.event(tenant, {"campaign_id": "c_1", "contact": {"email": "sarah@example.com"}})
    await until(lambda: settled(app, webhook, "success", 1))
    await scoped_webhook(app, tenant, f"{receiver.url}/operator", "operator")
    failing = await app.webhook(tenant, f"{receiver.url}/failing")
    receiver.answer = lambda request: Reply(500 if "failing" in request.path else 200)
    await app.events(tenant, 3)
    await until(lambda: settled(app, failing, "failed", 6))
    await until(lambda: receiver.at("/operator"))
    await insert_delivery(app, webhook, next_retry_at=None, event_created_at=None)
    await until(lambda: settled(app, webhook, "success", 2))


async def _call_every_operation(
    app: Application, operator: ApiClient, tenant: UUID, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(200)
    calls = Calls(app, operator, tenant, receiver.url)
    for operation in OPERATIONS:
        if not operation.may_only_read:
            answer, _ = await calls.call(operation.operation_id)
            assert answer.status < 300, (operation.operation_id, answer)
    ids = {
        "webhook": "SELECT id FROM webhooks LIMIT 1",
        "delivery": "SELECT id FROM webhook_deliveries LIMIT 1",
        "event": "SELECT id FROM webhook_events LIMIT 1",
        "replay": "SELECT id FROM webhook_replays LIMIT 1",
    }
    queries = {
        "explainEvent": {"eventId": await app.db.fetchval(ids["event"])},
        "searchTenants": {"text": "receiver"},
        "listTenants": {"search": "tenant"},
    }
    filters = {"eventFilters": {"filters": {"n": 1}}}
    assert (await operator.post("/api/filters/preview", filters)).status == 200
    for operation in OPERATIONS:
        if operation.method == "GET":
            object_id = await app.db.fetchval(ids.get(operation.id_of or "", "SELECT 1"))
            query = queries.get(operation.operation_id, {})
            answer = await operator.get(operation.path.replace("{id}", str(object_id)), **query)
            assert answer.status == 200, (operation.operation_id, answer)


CONVERSION = (partitioning.MARK_ROWS, partitioning.VALIDATE, partitioning.CONVERT)
OF_HISTORY = "SELECT webhook_add_history_partition(1), webhook_drop_history_partition('0 days')"


@pytest.mark.parametrize(
    "conversion",
    [pytest.param((), id="new"), pytest.param(CONVERSION, id="in use", marks=pytest.mark.full)],
)
async def test_the_migrations_since_the_first_exact_one_call_no_hostile_overload(
    conversion: tuple[str, ...], empty_database: str, hostile_role: str
) -> None:
    connection = await asyncpg.connect(empty_database)
    for migration in migrations.known():
        if migration.name == FIRST_EXACT:
            tenant = await Application(connection).tenant()
            webhook = await Application(connection).webhook(tenant, "https://example.com")
            if conversion:
                await insert_delivery(Application(connection), webhook)
            await _make_hostile(empty_database, hostile_role)
        await connection.execute(migration.sql)
    for sql in conversion:
        await connection.execute(sql)
    today = datetime.now(UTC).date()
    await add_partition(connection, today - timedelta(days=1))
    await connection.execute(f"DROP TABLE IF EXISTS {partition_name(today + timedelta(days=7))}")
    made, dropped = await connection.fetchrow(OF_HISTORY)
    assert made is not None
    assert dropped == partition_name(today - timedelta(days=1))

    await Application(connection).event(tenant, {"a": 1e40})
    assert await connection.fetchval(
        "SELECT webhook_payload_bytes(event_data, 100::bigint) FROM webhook_events"
    ) == len('{"a": 1' + "0" * 40 + "}")
    assert not await were_called(connection)
    await connection.close()


async def test_a_database_with_hostile_overloads_is_not_migrated(
    empty_database: str, hostile_role: str
) -> None:
    connection = await asyncpg.connect(empty_database)
    await connection.execute(
        f"GRANT CREATE ON SCHEMA public TO {hostile_role}; SET ROLE {hostile_role};"
        " CREATE FUNCTION same(varchar, varchar) RETURNS boolean LANGUAGE sql RETURN true;"
        " CREATE OPERATOR = (FUNCTION = same, LEFTARG = varchar, RIGHTARG = varchar)"
    )
    with pytest.raises(MigrationError, match=r"OPERATOR =\(character varying,.* of role hostile_"):
        await migrations.migrate(empty_database)
    await connection.execute("DROP OPERATOR = (varchar, varchar); DROP FUNCTION same")

    assert await migrations.migrate(empty_database) == migrations.known()
    await connection.close()
