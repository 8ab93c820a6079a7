"""The walk of docs/adoption.md, run in its order; and the roles that it makes."""

import asyncio
import re
import shutil
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import asyncpg
import pytest

from daemon.store.privileges import FUNCTIONS, NEEDED, NEEDED_BY_API
from tests.support import specification
from tests.support.application import Application
from tests.support.commandline import environment
from tests.support.daemons import serving, until
from tests.support.deliveries import nothing_pending
from tests.support.forked_process import shell_command
from tests.support.receiver import Receiver

ROOT = Path(__file__).parents[2]
ROLES = ("webhookd_owner", "webhookd_daemon", "webhookd_application", "webhookd_support")
SECRETS = (
    "secret_key",
    "previous_secret_key",
    "custom_headers",
    "client_certificate",
    "client_key",
)
CREDENTIALS = (
    "webhook_idempotency_keys",
    "webhook_portal_links",
    "webhook_operator_sessions",
    "webhook_tenant_tokens",
    "webhook_email_confirmations",
    "webhook_unbound_secrets",
)
PASSWORDS = """
    ALTER ROLE webhookd_owner PASSWORD 'the owner''s password';
    ALTER ROLE webhookd_daemon PASSWORD 'the daemon''s password';
"""
OWNED = ("webhooks", "webhook_events", "webhook_deliveries", "tenants")


def commands() -> list[str]:
    blocks = re.findall(r" +```sh\n(.*?)```", (ROOT / "docs/adoption.md").read_text(), re.DOTALL)
    return [textwrap.dedent(block) for block in blocks]


async def run(command: str, variables: dict[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euc", f'webhookd() {{ {shell_command()} "$@"; }}\n{command}'),
        cwd=ROOT,
        env=environment(variables),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode() + out.decode()
    return out.decode()


def url_of(url: str, role: str, password: str) -> str:
    parts = urlsplit(url)
    netloc = f"{role}:{quote(password)}@{parts.hostname}:{parts.port}"
    return parts._replace(netloc=netloc).geturl()


EXISTS = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)"


@pytest.fixture
async def admin(empty_database: str) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection to a database of the application's role `app`."""
    connection = await asyncpg.connect(empty_database)
    await specification.create_tables(connection)
    await specification.fill(connection, events=3, deliveries=200)
    await connection.execute(
        "CREATE ROLE app LOGIN PASSWORD 'app'; GRANT ALL ON SCHEMA public TO app;"
        + "".join(f"ALTER TABLE {table} OWNER TO app;" for table in OWNED)
    )
    yield connection
    for role in ("app", *ROLES):
        if await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role
        ):
            await connection.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")
    await connection.close()


@pytest.mark.skipif(shutil.which("psql") is None, reason="psql is not installed")
async def test_the_walk_takes_the_tables_over_and_the_daemon_delivers_with_the_roles_it_makes(
    admin: asyncpg.Connection, empty_database: str, receiver: Receiver
) -> None:
    await admin.execute("UPDATE webhooks SET endpoint_url = $1", receiver.url)
    daemon = url_of(empty_database, "webhookd_daemon", "the daemon's password")
    variables = {
        "ADMIN_URL": empty_database,
        "OWNER_URL": url_of(empty_database, "webhookd_owner", "the owner's password"),
        "DAEMON_URL": daemon,
        "WEBHOOKD_EGRESS__ALLOW_HTTP": "true",
        "WEBHOOKD_EGRESS__ALLOW_NETWORKS": "127.0.0.0/8",
        "WEBHOOKD_EGRESS__ALLOW_PORTS": "1-65535",
    }
    roles, dry_run, migrate, check = commands()
    await run(roles, variables)
    await admin.execute(PASSWORDS)
    planned = await run(dry_run, variables)
    done = await run(migrate, variables)
    checked = await run(check, variables)
    application = await asyncpg.connect(url_of(empty_database, "app", "app"))
    app = Application(application)
    async with serving(daemon):
        event = await app.event(await application.fetchval("SELECT id FROM tenants"))
        await until(lambda: nothing_pending(Application(admin)))
        await until(lambda: len(receiver.received) == 1)
    await application.close()

    assert "adopts webhook_deliveries: 200 rows, " in planned
    assert "TIMESTAMP becomes TIMESTAMPTZ, read in UTC; no row is rewritten" in planned
    assert "history: none of these events is sent" in planned
    assert "history: 2 rows pending, which become failed with the reason" in planned
    assert "locks: some milliseconds" in planned
    assert "history, not sent: events: 3, pending deliveries: 2" in done
    assert "converted webhook_deliveries to partitions" in done
    assert "stop the daemons" not in planned + done
    assert "lacks" not in checked
    assert receiver.received[0].event["id"] == f"evt_{event.hex}"


async def privileges(admin: asyncpg.Connection, role: str) -> set[tuple[str, str]]:
    rows = await admin.fetch(
        "SELECT table_name, privilege_type FROM information_schema.table_privileges"
        " WHERE grantee = $1",
        role,
    )
    return {(row["table_name"], row["privilege_type"]) for row in rows}


@pytest.mark.skipif(shutil.which("psql") is None, reason="psql is not installed")
async def test_the_roles_may_do_what_they_need_and_no_more(
    admin: asyncpg.Connection, empty_database: str
) -> None:
    file = f"psql --quiet --set ON_ERROR_STOP=1 --file sql/roles.sql {empty_database}"
    for table in OWNED:
        await admin.execute(f"ALTER TABLE {table} OWNER TO CURRENT_USER")
    await run(f"{file}; webhookd migrate; {file}; {file}", {"DATABASE_URL": empty_database})

    needed = {(table, right) for table, rights in NEEDED.items() for right in rights}
    assert await privileges(admin, "webhookd_daemon") == needed | {*NEEDED_BY_API}
    for function in FUNCTIONS:
        assert await admin.fetchval(
            "SELECT has_function_privilege('webhookd_daemon', $1, 'EXECUTE')", function
        )
    events, tenant = "webhook_events", specification.TENANT
    await admin.execute("SET ROLE webhookd_application")
    assert await admin.fetchval(
        f"INSERT INTO {events} (tenant_id) VALUES ($1) RETURNING id", tenant
    )
    assert await admin.fetchval(
        "INSERT INTO webhooks (tenant_id, name, endpoint_url, secret_key)"
        " VALUES ($1, 'a', 'https://example.com', 's') RETURNING id",
        tenant,
    )
    for refused in (
        "SELECT event_data FROM webhook_events",
        "SELECT secret_key FROM webhooks",
        "SELECT FROM webhook_event_inbox",
        "CREATE TABLE mine ()",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await admin.execute(refused)
    await admin.execute("RESET ROLE; SET ROLE webhookd_support")
    await admin.fetch("SELECT id, endpoint_url, is_failing, scope FROM webhooks")
    await admin.fetch("SELECT * FROM webhook_deliveries")
    for refused in (
        *(f"SELECT {column} FROM webhooks" for column in SECRETS),
        *(f"SELECT FROM {table}" for table in CREDENTIALS),
        "DELETE FROM webhook_deliveries",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await admin.execute(refused)
    await admin.execute("RESET ROLE")
