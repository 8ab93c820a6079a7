"""Secrets at rest in a running daemon: sealed, resealed with a new key, rotated, expired."""

import signal
from pathlib import Path

import asyncpg
import orjson
from structlog.testing import capture_logs

from daemon.config import Config
from daemon.core.wire import signing
from daemon.maintenance.unmarking import PAGE
from daemon.secrets.encryption import Vault
from daemon.store.secrets import UNREADABLE
from tests.support.application import SECRET, Application
from tests.support.commandline import running
from tests.support.daemons import config, free_port, serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver
from tests.support.sealing import is_sealed_with, keys

OLD, NEW = "old-" * 10, "new-" * 10
OLD_ID, NEW_ID = Vault([OLD]).newest, Vault([NEW]).newest


def configured(database: str, *settings: str) -> Config:
    return config(**keys(*settings))


async def test_a_row_that_the_database_refuses_keeps_no_other_from_being_sealed(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    refused, *others = [await app.webhook(tenant, "http://127.0.0.1:9/") for _ in range(5)]
    await app.db.execute("UPDATE webhooks SET name = 'never' WHERE id = $1", refused)
    await app.db.execute(
        "ALTER TABLE webhooks ADD CONSTRAINT app_name CHECK (name <> 'never') NOT VALID"
    )
    async with serving(database, **keys(NEW)):
        for each in others:
            await until(lambda each=each: is_sealed_with(app, NEW_ID, each))
        later = await app.webhook(tenant, "http://127.0.0.1:9/")
        await until(lambda: is_sealed_with(app, NEW_ID, later))

    assert await is_sealed_with(app, "", refused)


async def test_keys_that_nobody_has_are_counted_and_few_of_them_are_named(
    app: Application, database: str
) -> None:
    await app.db.execute(
        "INSERT INTO webhooks (tenant_id, name, endpoint_url, secret_key, sealed_with)"
        " SELECT $1, 'x', 'http://127.0.0.1/', 'whsec_x', 'key ' || number"
        "   FROM generate_series(1, 500) AS number",
        await app.tenant(),
    )
    with capture_logs() as lines:
        async with serving(database, **keys(NEW)):
            await until(lambda: any(each["event"] == "secrets.unreadable" for each in lines))

    [line, *_] = [each for each in lines if each["event"] == "secrets.unreadable"]
    assert line["webhooks"] == 500
    assert len(line["keys"]) == 10


async def test_headers_that_are_too_large_to_be_read_are_left_as_they_are(
    app: Application, database: str
) -> None:
    webhook = await app.webhook(await app.tenant(), "http://127.0.0.1:9/")
    headers = '{"X-A": "' + "x" * 1_000_000 + '"}'
    await app.db.execute("UPDATE webhooks SET custom_headers = $2 WHERE id = $1", webhook, headers)
    async with serving(database, **keys(NEW)):
        await until(lambda: is_sealed_with(app, NEW_ID, webhook))

    assert (await app.health(webhook))["custom_headers"] == headers


async def test_as_many_headers_as_may_be_sent_are_sealed_and_sent(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    headers = {f"X-{number:02}": "ab" * 250 for number in range(32)}
    await app.db.execute(
        "UPDATE webhooks SET custom_headers = $2 WHERE id = $1",
        *(webhook, orjson.dumps(headers).decode()),
    )
    async with serving(database, **keys(NEW)):
        await until(lambda: is_sealed_with(app, NEW_ID, webhook))
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))

    [request] = receiver.received
    assert {name: request.headers[name.lower()] for name in headers} == headers


async def test_a_plain_secret_of_the_application_is_sealed_and_keeps_signing(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    await app.db.execute(
        "UPDATE webhooks SET custom_headers = $2 WHERE id = $1",
        webhook,
        '{"Authorization": "Bearer t0k3n"}',
    )
    async with serving(database, **keys(NEW)):
        await until(lambda: is_sealed_with(app, NEW_ID, webhook))
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))

    row = await app.health(webhook)
    [request] = receiver.received
    assert row["secret_key"].startswith(f"sealed:1:{NEW_ID}:")
    assert "t0k3n" not in row["custom_headers"]
    assert list(orjson.loads(row["custom_headers"])) == ["Authorization"]
    assert request.headers["authorization"] == "Bearer t0k3n"
    assert request.headers["x-penguinmails-signature"] == signing.sign(request.body, SECRET)


async def test_a_secret_that_the_application_changes_is_sealed_again(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database, **keys(NEW)):
        await until(lambda: is_sealed_with(app, NEW_ID, webhook))
        await app.db.execute("UPDATE webhooks SET secret_key = 'whsec_bmV3' WHERE id = $1", webhook)
        await until(lambda: is_sealed_with(app, NEW_ID, webhook))
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))

    [request] = receiver.received
    assert (await app.health(webhook))["secret_key"].startswith("sealed:")
    assert request.headers["x-penguinmails-signature"] == signing.sign(request.body, "whsec_bmV3")


async def test_without_master_keys_secrets_stay_as_they_were_written(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))

    assert (await app.health(webhook))["secret_key"] == SECRET


async def test_the_master_key_can_change_while_the_daemon_runs(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhooks = [await app.webhook(tenant, f"{receiver.url}/{n}") for n in range(250)]
    async with serving(database, **keys(OLD)) as service:

        async def all_sealed_with(key: str | None) -> bool:
            found: int = await app.db.fetchval(
                "SELECT count(*) FROM webhooks WHERE sealed_with = $1", key
            )
            return found == len(webhooks)

        await until(lambda: all_sealed_with(OLD_ID))
        service.reload(configured(database, NEW, OLD))
        await until(lambda: all_sealed_with(NEW_ID))
        service.reload(configured(database, NEW))
        await app.event(tenant)
        await until(lambda: len(receiver.received) == len(webhooks))

    signatures = {
        request.headers["x-penguinmails-signature"] == signing.sign(request.body, SECRET)
        for request in receiver.received
    }
    assert signatures == {True}


async def test_a_row_that_is_locked_during_a_key_change_is_resealed_later(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    held, free = [await app.webhook(tenant, "https://example.com/") for _ in range(2)]
    locker = await asyncpg.connect(database)
    async with serving(database, **keys(OLD)) as service:
        await until(lambda: is_sealed_with(app, OLD_ID, held))
        await until(lambda: is_sealed_with(app, OLD_ID, free))
        transaction = locker.transaction()
        await transaction.start()
        await locker.execute("SELECT FROM webhooks WHERE id = $1 FOR UPDATE", held)
        service.reload(configured(database, NEW, OLD))
        await until(lambda: is_sealed_with(app, NEW_ID, free))
        left_behind = await is_sealed_with(app, OLD_ID, held)
        await transaction.rollback()
        await until(lambda: is_sealed_with(app, NEW_ID, held))
    await locker.close()

    assert left_behind


async def test_deliveries_with_an_unreadable_secret_wait_without_charge_until_the_key_is_back(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    await app.db.execute(
        "UPDATE webhooks SET secret_key = $2, sealed_with = $3 WHERE id = $1",
        webhook,
        Vault([OLD]).seal(SECRET, associated_data=f"{webhook}/secret"),
        OLD_ID,
    )
    async with serving(database, **keys(NEW)):
        await app.event(tenant)
        other = await app.webhook(tenant, receiver.url + "/other")
        await app.event(tenant)
        await until(lambda: settled(app, other, "success", 1))
        row = await app.health(webhook)
        assert (row["consecutive_failures"], receiver.at("/")) == (0, [])
    async with serving(database, **keys(NEW, OLD)):
        # A stop releases postponed attempts; their leases need not expire.
        await app.db.execute("UPDATE webhook_deliveries SET leased_until = NULL")
        await until(lambda: settled(app, webhook, "success", 2))

    assert {row["attempt_number"] for row in await app.deliveries(webhook)} == {1}


async def test_a_sealed_secret_copied_from_another_row_is_marked_and_never_used(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    victim = await app.webhook(tenant, receiver.url + "/victim", types=["never"])
    thief = await app.webhook(tenant, receiver.url + "/thief")
    async with serving(database, **keys(NEW)):
        await until(lambda: is_sealed_with(app, NEW_ID, victim))
        await app.db.execute(
            "UPDATE webhooks SET secret_key = (SELECT secret_key FROM webhooks WHERE id = $1)"
            " WHERE id = $2",
            victim,
            thief,
        )
        await app.event(tenant)
        await until(lambda: is_sealed_with(app, UNREADABLE, thief))

    assert receiver.received == []


async def test_unreadable_secrets_are_tried_again_around_locked_rows(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    webhooks = [await app.webhook(tenant, f"http://127.0.0.1:9/{n}") for n in range(PAGE + 20)]
    async with serving(database, **keys(OLD)):
        await until(lambda: all_are_sealed_with(app, OLD_ID))
    await app.db.execute("UPDATE webhooks SET sealed_with = $1", UNREADABLE)
    locker = await asyncpg.connect(database)
    async with locker.transaction():
        await locker.execute("SELECT 1 FROM webhooks WHERE id = $1 FOR UPDATE", webhooks[0])
        async with serving(database, **keys(OLD)):
            for each in webhooks[1:]:
                await until(lambda each=each: is_sealed_with(app, OLD_ID, each))
            assert await is_sealed_with(app, UNREADABLE, webhooks[0])
            await locker.execute("ROLLBACK")
            await until(lambda: is_sealed_with(app, OLD_ID, webhooks[0]))
            await locker.execute("BEGIN")
    await locker.close()


async def all_are_sealed_with(app: Application, key: str | None) -> bool:
    return not await app.db.fetchval(
        "SELECT EXISTS (SELECT FROM webhooks WHERE sealed_with <> $1)", key
    )


async def test_sighup_makes_a_running_daemon_reload_its_master_keys(
    app: Application, database: str, tmp_path: Path
) -> None:
    webhook = await app.webhook(await app.tenant(), "https://example.com/")
    settings = f"admin.port = {free_port()}\nsecurity.master_keys = "
    (tmp_path / "config.toml").write_text(f"{settings}['{OLD}']\n")
    env = {"DATABASE_URL": database, "WEBHOOKD_LOG__FORMAT": "json"}
    async with running("run", "--no-embedded", folder=tmp_path, env=env) as daemon:
        await until(lambda: is_sealed_with(app, OLD_ID, webhook))
        (tmp_path / "config.toml").write_text(f"{settings}['{NEW}', '{OLD}']\n")
        daemon.process.send_signal(signal.SIGHUP)
        await until(lambda: is_sealed_with(app, NEW_ID, webhook))
        assert await daemon.stop(signal.SIGTERM) == 0

    log_lines = "".join(daemon.err)
    assert '"service.reloaded"' in log_lines
    assert "restart_needed" not in log_lines
