"""The application's rights in the database make no webhook that gets other tenants' events."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from daemon.core.model.ids import TenantId, WebhookId
from daemon.store import daemon_tables, migrations, operational_subscribers
from daemon.store.daemon_tables import Writer
from daemon.store.session import prepare
from tests.support.api_client import serving_api
from tests.support.application import SECRET, Application
from tests.support.audit import tenant_client
from tests.support.checked import checked
from tests.support.daemons import until
from tests.support.deliveries import nothing_pending, settled
from tests.support.operational import QUICK, failing_at, nothing_waiting, scoped_webhook, types
from tests.support.receiver import Receiver
from tests.support.roles import connected_as_other_role, name_of

INSERT = """
    INSERT INTO webhooks (id, tenant_id, name, endpoint_url, secret_key, scope)
    VALUES ($1, $2, 'spy', $3, $4, $5)
"""
MARKED = "SELECT webhook_id, made_by FROM webhook_operator_scopes"
WARNING = "scope: the application wrote operator"


@pytest.fixture
async def role(app: Application, database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of a role that has the application's rights, of those that are granted most."""
    async with connected_as_other_role(database) as connection:
        await app.db.execute(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON webhooks, webhook_events TO"
            f" {await name_of(connection)}; GRANT INSERT ON webhook_deliveries TO"
            f" {await name_of(connection)}"
        )
        yield connection


async def written(
    role: asyncpg.Connection, tenant: UUID, url: str, *, scope: str = "operator"
) -> UUID:
    """Insert a webhook of this scope as the application; returns its id."""
    webhook = uuid4()
    await role.execute(INSERT, webhook, tenant, url, SECRET, scope)
    return webhook


async def test_a_webhook_that_the_application_writes_for_operators_gets_nothing(
    app: Application, role: asyncpg.Connection, database: str, receiver: Receiver
) -> None:
    failing_at(receiver, "/down", "/own")
    tenant, other = await app.tenant(), await app.tenant()
    await written(role, tenant, f"{receiver.url}/inserted")
    updated = await written(role, tenant, f"{receiver.url}/updated", scope="events")
    await role.execute("UPDATE webhooks SET scope = 'operator' WHERE id = $1", updated)
    down, own = [
        await app.webhook(owner, f"{receiver.url}{path}", types=["email.*"])
        for owner, path in ((other, "/down"), (tenant, "/own"))
    ]
    async with serving_api(database, tenant, delivery=QUICK) as operator:
        await operator.create_webhook(f"{receiver.url}/pager", scope="operator")
        await written(role, other, f"{receiver.url}/account", scope="account")
        for owner, webhook in ((other, down), (tenant, own)):
            await app.event(owner)
            await until(lambda webhook=webhook: settled(app, webhook, "failed", 1))
        await role.execute("UPDATE webhooks SET is_active = false WHERE id = ANY ($1)", [down, own])
        await until(lambda: nothing_waiting(app))
        await until(lambda: nothing_pending(app))

    assert types(receiver.at("/pager")) == {"delivery.exhausted": 2, "webhook.paused": 2}
    assert types(receiver.at("/account")) == {"delivery.exhausted": 1, "webhook.paused": 1}
    assert receiver.at("/inserted") == receiver.at("/updated") == []


async def test_no_event_is_written_for_the_sake_of_such_a_webhook(
    app: Application, role: asyncpg.Connection
) -> None:
    tenant = await app.tenant()
    spy = WebhookId(await written(role, tenant, "https://example.com"))
    webhook = await app.webhook(other := await app.tenant(), "https://example.com")
    await prepare(app.db)

    await role.execute("UPDATE webhooks SET is_active = false WHERE id = $1", webhook)

    assert await nothing_waiting(app)
    assert await operational_subscribers.one(app.db, TenantId(other), spy) == []
    marked = WebhookId(await scoped_webhook(app, tenant, "https://example.com", "operator"))
    [found] = await operational_subscribers.one(app.db, TenantId(other), marked)
    assert found.webhook_id == marked


async def test_a_deleted_webhook_leaves_no_mark_for_one_with_its_id(
    app: Application, role: asyncpg.Connection
) -> None:
    tenant = await app.tenant()
    pager = await scoped_webhook(app, tenant, "https://example.com", "operator")

    await role.execute("DELETE FROM webhooks WHERE id = $1", pager)
    await role.execute(INSERT, pager, tenant, "https://example.com", SECRET, "operator")

    assert await app.db.fetch(MARKED) == []


@pytest.mark.parametrize(
    ("column", "refused"),
    [
        ("id", asyncpg.IntegrityConstraintViolationError),
        ("tenant_id", asyncpg.InsufficientPrivilegeError),
    ],
)
async def test_the_application_cannot_give_a_webhook_of_operators_another_id_or_tenant(
    app: Application, role: asyncpg.Connection, column: str, refused: type[Exception]
) -> None:
    pager = await scoped_webhook(app, await app.tenant(), "https://example.com", "operator")

    with pytest.raises(refused, match="not changed"):
        await role.execute(f"UPDATE webhooks SET {column} = $2 WHERE id = $1", pager, uuid4())

    assert [row["webhook_id"] for row in await app.db.fetch(MARKED)] == [pager]


async def test_no_statement_puts_another_webhook_in_the_place_of_an_operators(
    app: Application, role: asyncpg.Connection
) -> None:
    """The foreign key of the mark is checked only at the end of the statement."""
    pager = await scoped_webhook(app, await app.tenant(), "https://example.com", "operator")
    tenant = await app.tenant()
    take_over = f"""
        WITH away AS (UPDATE webhooks SET id = gen_random_uuid() WHERE id = $1 RETURNING true)
        {INSERT.replace("VALUES ($1, $2, 'spy', $3, $4, $5)", "")}
        SELECT $1, $2::uuid, 'spy', $3::text, $4::text, 'operator' FROM away
    """

    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await role.execute(take_over, pager, tenant, "https://example.com/spy", SECRET)

    url = await app.db.fetchval("SELECT endpoint_url FROM webhooks WHERE id = $1", pager)
    assert url == "https://example.com"


@pytest.mark.parametrize("column", ["endpoint_url", "scope"])
async def test_the_application_cannot_take_over_a_webhook_of_operators(
    app: Application, role: asyncpg.Connection, database: str, column: str
) -> None:
    tenant = await app.tenant()
    pager = await scoped_webhook(app, tenant, "https://example.com/pager", "operator")
    await role.execute(
        "CREATE TEMPORARY TABLE webhook_operator_scopes (); SET search_path = pg_temp, public"
    )

    change = f"UPDATE webhooks SET {column} = 'events' WHERE id = $1"
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="changed over the API"):
        await role.execute(change, pager)

    await role.execute("UPDATE webhooks SET name = 'y', endpoint_url = endpoint_url")
    async with serving_api(database, tenant) as operator:
        moved = {"endpointUrl": "https://example.com/other", "scope": "events"}
        answer = await operator.patch(f"/api/webhooks/{pager}", moved)
    assert (answer.status, answer.json["name"], answer.json["scope"]) == (200, "y", "events")
    await role.execute(change, pager)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO webhook_operator_scopes (webhook_id) VALUES (gen_random_uuid())",
        "UPDATE webhook_operator_scopes SET webhook_id = gen_random_uuid()",
        "DELETE FROM webhook_operator_scopes",
        "INSERT INTO webhook_holds (tenant_id, held_by) VALUES (gen_random_uuid(), 'me')",
        "DELETE FROM webhook_holds",
        "INSERT INTO webhook_installation (name) VALUES ('mine')",
        "UPDATE webhook_installation SET name = 'mine'",
        "DELETE FROM webhook_operational_events",
        "UPDATE webhook_replays SET status = 'running'",
    ],
)
async def test_the_application_cannot_write_what_operators_decide(
    role: asyncpg.Connection, statement: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await role.execute(statement)


async def test_operators_see_a_warning_and_make_the_webhook_theirs_or_not(
    app: Application, role: asyncpg.Connection, database: str
) -> None:
    tenant = await app.tenant()
    webhook = await written(role, tenant, "https://example.com")
    path = f"/api/webhooks/{webhook}"
    async with serving_api(database, tenant) as operator:
        customer = await tenant_client(operator, tenant)
        [listed] = (await operator.get("/api/webhooks")).json["webhooks"]
        hidden = [await customer.get(path), await customer.patch(path, {"scope": "account"})]
        renamed = await operator.patch(path, {"name": "y"})
        marks_before = await app.db.fetch(MARKED)
        taken = await operator.patch(path, {"scope": "operator"})
        shown = await operator.get(path)
        marks = [tuple(row) for row in await app.db.fetch(MARKED)]
        await operator.patch(path, {"scope": "events"})

    for each in (listed, renamed.json):
        assert each["warnings"][0].startswith(WARNING)
    assert [each.status for each in hidden] == [404, 404]
    assert marks_before == []
    assert taken.json["warnings"] == shown.json["warnings"] == []
    assert [webhook_id for webhook_id, _ in marks] == [webhook]
    assert marks[0][1] is not None
    assert await app.db.fetch(MARKED) == []


async def test_a_refused_request_leaves_no_mark(app: Application, database: str) -> None:
    tenant = await app.tenant()
    own = await app.webhook(tenant, "https://example.com")
    async with serving_api(database, tenant) as operator:
        refused = await operator.patch(
            f"/api/webhooks/{own}", {"scope": "operator", "retrySchedule": "none such"}
        )

    assert refused.status == 422
    assert await app.db.fetch(MARKED) == []


async def test_check_names_such_a_webhook_and_none_that_an_operator_made(
    tmp_path: Path, app: Application, role: asyncpg.Connection, database: str
) -> None:
    tenant = await app.tenant()
    spy = await written(role, tenant, "https://example.com")
    await scoped_webhook(app, tenant, "https://example.com", "operator")

    code, messages = await checked(tmp_path, database)

    [warning] = [line for line in messages["warning"] if WARNING in line]
    assert f"{spy} of tenant {tenant}: " in warning
    assert code == 0


async def test_check_names_roles_of_the_application_that_may_write_what_operators_decide(
    tmp_path: Path, app: Application, role: asyncpg.Connection, database: str
) -> None:
    name = await name_of(role)
    assert await daemon_tables.writers(app.db) == []
    await app.db.execute(f"GRANT INSERT (webhook_id) ON webhook_operator_scopes TO {name}")
    await app.db.execute("GRANT DELETE ON webhook_holds TO PUBLIC")

    found = await daemon_tables.writers(app.db)
    code, messages = await checked(tmp_path, database)
    await app.db.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")

    assert found == [Writer(name, "webhook_holds"), Writer(name, "webhook_operator_scopes")]
    assert code == 1
    assert len([line for line in messages["error"] if f"{name} may insert webhooks" in line]) == 2
    assert await daemon_tables.writers(app.db) == []  # a daemon's rights, now


async def test_the_migration_marks_what_there_is_and_default_privileges_grant_nothing(
    empty_database: str,
) -> None:
    owner = await asyncpg.connect(empty_database)
    [marking] = [each for each in migrations.known() if each.name.endswith("_operator_scopes")]
    for migration in migrations.known():
        if migration.name < marking.name:
            await owner.execute(migration.sql)
    async with (
        connected_as_other_role(empty_database) as role,
        connected_as_other_role(empty_database) as daemon,
    ):
        tenant, name = await Application(owner).tenant(), await name_of(role)
        for scope in ("events", "account"):
            await owner.execute(INSERT, uuid4(), tenant, "https://example.com", SECRET, scope)
        await owner.execute(
            INSERT, pager := uuid4(), tenant, "https://example.com", SECRET, "operator"
        )
        await owner.execute(
            f"GRANT INSERT ON webhooks TO {name};"
            f" ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {name}, PUBLIC;"
            f" GRANT ALL ON webhook_tenant_tokens, webhook_event_inbox TO {await name_of(daemon)}"
        )

        await migrations.migrate(empty_database)

        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await role.execute("INSERT INTO webhook_operator_scopes SELECT gen_random_uuid()")
        assert [tuple(row) for row in await daemon.fetch(MARKED)] == [(pager, None)]
        await daemon.execute("DELETE FROM webhook_operator_scopes")
    await owner.close()
