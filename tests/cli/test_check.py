"""`webhookd check`: its findings, their statuses, and its exit code."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from daemon.cli.checks.secrets import FEWEST_OF_LOST_KEY
from daemon.store.migrations import NOT_GRANTED
from tests.support.application import Application
from tests.support.checked import checked
from tests.support.commandline import CANARY, webhookd
from tests.support.layouts import add_partition, partition_name
from tests.support.mailserver import mail_host
from tests.support.roles import connected_as_other_role, name_of


async def test_an_installation_without_mistakes_passes_every_check(
    tmp_path: Path, database: str, app: Application
) -> None:
    await app.webhook(await app.tenant(), "https://example.com/hook")
    (tmp_path / "config.toml").write_text('[retention]\nevents = "7d"\n')

    code, messages = await checked(tmp_path, database)
    shown = await webhookd("check", folder=tmp_path, env={"DATABASE_URL": database})

    assert (code, messages["error"]) == (0, [])
    subjects = [line.split(":")[0] for line in messages["ok"]]
    assert subjects == [
        *("configuration", "database", "schema", "permissions", "installation", "webhooks")
    ]
    assert "config.toml" in messages["ok"][0]
    assert shown.code == 0
    assert shown.out.startswith("✓ configuration  config.toml\n")
    assert "Nothing is wrong." in shown.out


async def test_the_version_of_postgresql_is_shown_as_the_server_prints_it(
    tmp_path: Path, database: str, app: Application
) -> None:
    version = (await app.db.fetchval("SHOW server_version")).split()[0]

    _, messages = await checked(tmp_path, database)

    assert f"database: PostgreSQL {version}, " in "\n".join(messages["ok"])


async def test_without_a_master_key_no_secret_counts_as_sealed_with_the_newest(
    tmp_path: Path, database: str, app: Application
) -> None:
    webhook = await app.webhook(await app.tenant(), "https://example.com/hook")
    await app.db.execute(
        "UPDATE webhooks SET secret_key = 'sealed:0', sealed_with = 'cafe' WHERE id = $1", webhook
    )

    _, messages = await checked(tmp_path, database)
    _, keyed = await checked(tmp_path, database, WEBHOOKD_SECURITY__MASTER_KEYS="k" * 32)

    assert (
        "secrets: security.master_keys is empty, but secrets are sealed (webhooks: 1)"
        in (messages["error"])
    )
    assert not any("newest" in line for line in messages["ok"])
    assert any("newest" in line for line in keyed["ok"])
    assert any("cannot be opened with security.master_keys" in line for line in keyed["error"])


@pytest.mark.parametrize("keys", [{}, {"WEBHOOKD_SECURITY__MASTER_KEYS": "k" * 32}])
async def test_single_rows_that_name_no_key_are_warned_about_by_name(
    tmp_path: Path, database: str, app: Application, keys: dict[str, str]
) -> None:
    tenant = await app.tenant()
    hooks = [await app.webhook(tenant, "https://example.com/hook") for _ in range(6)]
    for hook, key in zip(hooks, ("deadbeef", "\x1b[31m odd"), strict=False):
        await app.db.execute(
            "UPDATE webhooks SET sealed_with = $2, secret_key = 'sealed:1:deadbeef:AAAA'"
            " WHERE id = $1",
            *(hook, key),
        )

    environment = {"DATABASE_URL": database, **keys}
    single = await webhookd("check", "--json", folder=tmp_path, env=environment)
    await app.db.execute("UPDATE webhooks SET sealed_with = 'deadbeef'")
    lost = await webhookd("check", "--json", folder=tmp_path, env=environment)

    named = {
        each["webhookId"]
        for each in json.loads(single.out)["checks"]
        if each["check"] == "secrets" and each["status"] == "warning" and "webhookId" in each
    }
    assert (single.code, named) == (0, {str(hook) for hook in hooks[:2]})
    assert lost.code == 1


async def test_any_number_of_plain_secrets_beside_a_foreign_key_s_name_is_no_lost_key(
    tmp_path: Path, database: str, app: Application
) -> None:
    tenant = await app.tenant()
    for _ in range(FEWEST_OF_LOST_KEY + 1):
        await app.webhook(tenant, "https://example.com/hook")
    await app.db.execute("UPDATE webhooks SET sealed_with = 'deadbeef'")

    key = "k" * 32
    careless = [
        await checked(tmp_path, database),
        await checked(tmp_path, database, WEBHOOKD_SECURITY__MASTER_KEYS=key),
    ]
    await app.db.execute(
        "UPDATE webhooks SET secret_key = 'sealed:1:cafe:AAAA', sealed_with = 'cafe'"
    )
    lost = [
        await checked(tmp_path, database),
        await checked(tmp_path, database, WEBHOOKD_SECURITY__MASTER_KEYS=key),
    ]

    assert [code for code, _ in careless] == [0, 0]
    assert [code for code, _ in lost] == [1, 1]


async def test_the_mail_login_is_checked_and_no_mail_is_sent(tmp_path: Path, database: str) -> None:
    settings = {"WEBHOOKD_NOTIFICATIONS__FROM": "hooks@example.com"}
    with mail_host(login=True) as host:
        url = f"smtp://hooks%40example.com:p%2Fw@127.0.0.1:{host.port}"
        wrong = url.replace("p%2Fw", CANARY)
        good = await checked(tmp_path, database, **settings, WEBHOOKD_NOTIFICATIONS__SMTP_URL=url)
        bad = await checked(tmp_path, database, **settings, WEBHOOKD_NOTIFICATIONS__SMTP_URL=wrong)

    assert good[0] == 0
    assert f"mail: smtp://127.0.0.1:{host.port} accepts our session" in good[1]["ok"]
    assert any("notifications.to is empty" in line for line in good[1]["warning"])
    assert bad[0] == 1
    assert bad[1]["error"] == [f"mail: smtp://127.0.0.1:{host.port} refuses the login (535)"]
    assert CANARY not in str(bad)
    assert host.mails == []


def lacks(role: str, privilege: str, table: str) -> str:
    """The finding, with the statement to paste."""
    grant = f"GRANT {privilege} ON {table} TO {role}"
    return f"permissions: role {role} lacks {privilege} on {table}: {grant}"


async def test_missing_privileges_and_disabled_triggers_are_named(
    tmp_path: Path, database: str, app: Application
) -> None:
    role = f"lowly_{uuid4().hex[:8]}"
    name = database.rpartition("/")[2]
    await app.db.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    await app.db.execute(f"GRANT SELECT ON webhooks, webhookd_migrations TO {role}")
    await app.db.execute("ALTER TABLE webhook_events DISABLE TRIGGER USER")
    await app.db.execute(f"ALTER DATABASE {name} SET session_replication_role = replica")
    try:
        url = re.sub("//[^@]*@", f"//{role}:x@", database)
        code, messages = await checked(tmp_path, url)
        _, with_api = await checked(tmp_path, url, WEBHOOKD_ADMIN__TOKENS=f'["{"t" * 20}"]')
    finally:
        await app.db.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")

    assert code == 1
    assert lacks(role, "UPDATE", "webhooks") in messages["error"]
    assert lacks(role, "INSERT", "webhook_deliveries") in messages["error"]
    function = "webhook_add_history_partition(integer)"
    assert any(f" ON FUNCTION {function} TO {role}" in line for line in messages["error"])
    assert any("trigger webhook_events_arrived" in line for line in messages["error"])
    assert any("session_replication_role is 'replica'" in line for line in messages["error"])
    assert not any("SELECT on webhooks" in line for line in messages["error"])
    assert set(with_api["error"]) - set(messages["error"]) == {
        lacks(role, privilege, "webhooks") for privilege in ("INSERT", "DELETE")
    } | {
        lacks(role, "INSERT", table)
        for table in (
            *("webhook_tenant_tokens", "webhook_idempotency_keys"),
            *("webhook_portal_links", "webhook_operator_sessions", "webhook_holds"),
            "webhook_operator_scopes",
        )
    } | {
        lacks(role, "UPDATE", "webhook_portal_links"),
        lacks(role, "DELETE", "webhook_operator_scopes"),
    }
    assert name in messages["ok"][1]


async def test_without_the_grants_that_follow_a_migration_the_remedy_is_named(
    tmp_path: Path, database: str, app: Application
) -> None:
    role = f"lowly_{uuid4().hex[:8]}"
    await app.db.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    url = re.sub("//[^@]*@", f"//{role}:x@", database)
    try:
        code, messages = await checked(tmp_path, url)
    finally:
        await app.db.execute(f"DROP ROLE {role}")

    assert code == 1
    assert messages["error"] == [
        f"schema: {NOT_GRANTED.format(table='public.webhookd_migrations')}"
    ]


async def test_a_role_that_may_create_nothing_is_told_who_migrates(
    tmp_path: Path, empty_database: str
) -> None:
    role = f"lowly_{uuid4().hex[:8]}"
    db = await asyncpg.connect(empty_database)
    await db.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    url = re.sub("//[^@]*@", f"//{role}:x@", empty_database)
    try:
        migrated = await webhookd("migrate", folder=tmp_path, env={"DATABASE_URL": url})
    finally:
        await db.execute(f"DROP ROLE {role}")
        await db.close()

    assert migrated.code == 1
    assert ": migrate as the owner of the tables" in migrated.err


async def test_a_database_without_the_schema_or_out_of_reach_is_an_error(
    tmp_path: Path, empty_database: str
) -> None:
    behind = await checked(tmp_path, empty_database)
    absent = await checked(tmp_path, f"postgresql://me:{CANARY}@127.0.0.1:1/nowhere")

    assert (behind[0], absent[0]) == (1, 1)
    assert "schema: the database's schema lacks 0001_webhooks" in behind[1]["error"][0]
    assert " more: run `webhookd migrate`" in behind[1]["error"][0]
    assert len(behind[1]["error"][0]) < 200
    assert "postgresql://me@127.0.0.1:1/nowhere: the database" in absent[1]["error"][0]
    assert CANARY not in str(absent)


async def test_all_mistakes_in_the_configuration_are_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[delivery]\ntimeout = "1"\npause_after = "many"\n')

    ended = await webhookd("check", folder=tmp_path)

    assert (ended.code, ended.out) == (2, "")
    lines = ended.err.splitlines()
    assert [line.split(" ")[1] for line in lines] == ["config.toml:2:", "config.toml:3:"]


async def test_days_without_a_partition_and_partitions_that_cannot_be_dropped_are_named(
    tmp_path: Path, database: str, app: Application
) -> None:
    today = datetime.now(UTC).date()
    tomorrow, expired = today + timedelta(days=1), today - timedelta(days=40)
    await app.db.execute(f"DROP TABLE {partition_name(tomorrow)}")
    name = await add_partition(app.db, expired)
    async with connected_as_other_role(database) as other:
        await other.execute(f"CREATE TEMPORARY VIEW mine AS SELECT 1 FROM {name}")

        code, messages = await checked(tmp_path, database)

        role = await name_of(other)
    missing, dependent = [line for line in messages["warning"] if line.startswith("partitions: ")]
    assert code == 0
    assert f"no partition for {tomorrow}: finished deliveries go to" in missing
    assert f"of role {role} depends on the expired partition {name}" in dependent
