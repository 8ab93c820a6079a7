"""What earlier versions sealed without an origin is bound once, to its URL at the migration."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from daemon.secrets.associated_data import client_key_data, header_data, secret_associated_data
from daemon.secrets.encryption import Vault
from daemon.store import migrations
from daemon.store.secrets import OTHER_ORIGIN, UNREADABLE
from tests.support.application import SECRET, Application
from tests.support.certificates import Authority
from tests.support.daemons import config, metrics_of, serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver, receiving

OLD, NEW = "old-" * 10, "new-" * 10
OLD_ID, NEW_ID = Vault([OLD]).newest, Vault([NEW]).newest
BEARER = "Bearer t0k3n-t0k3n-t0k3n"
SET_AGAIN = "the custom headers were set for another origin than the URL's: set them again"
FIRST_WITH_ORIGINS = "0010_credentials_origin"


def keys(*settings: str) -> dict[str, Any]:
    return {"security": {"master_keys": list(settings)}}


@pytest.fixture
async def former(empty_database: str, tmp_path: Path) -> AsyncIterator[Application]:
    """The application beside a database of the last version that sealed without origins."""
    for migration in migrations.known():
        if migration.name < FIRST_WITH_ORIGINS:
            shutil.copy(migration.path, tmp_path)
    await migrations.migrate(empty_database, folder=tmp_path)
    connection = await asyncpg.connect(empty_database)
    yield Application(connection)
    await connection.close()


async def webhook_of_former_version(
    app: Application, url: str, *, key: str = OLD, headers: bool = True
) -> tuple[UUID, UUID]:
    """Insert a tenant and its webhook with sealed values as that version wrote them."""
    tenant, vault = await app.tenant(), Vault([key])
    webhook = await app.webhook(tenant, url)
    client = Authority().client("a-webhook")
    await app.db.execute(
        "UPDATE webhooks SET secret_key = $2, custom_headers = $3, client_certificate = $4,"
        " client_key = $5, sealed_with = $6 WHERE id = $1",
        webhook,
        vault.seal(SECRET, associated_data=secret_associated_data(webhook)),
        former_headers(webhook, key) if headers else None,
        client.certificate,
        vault.seal(client.key, associated_data=client_key_data(webhook, url=url).without_origin),
        vault.newest,
    )
    return tenant, webhook


def former_headers(webhook: UUID, key: str = OLD) -> str:
    """The column `custom_headers` as that version sealed it."""
    data = header_data(webhook, "Authorization", url="").without_origin
    sealed = Vault([key]).seal(BEARER, associated_data=data)
    return orjson.dumps({"Authorization": sealed}).decode()


async def listed(app: Application) -> list[UUID]:
    rows = await app.db.fetch("SELECT webhook_id FROM webhook_unbound_secrets")
    return [row["webhook_id"] for row in rows]


async def is_sealed_with(app: Application, key: str | None, webhook: UUID) -> bool:
    return bool((await app.health(webhook))["sealed_with"] == key)


async def test_values_of_a_former_version_are_sent_after_the_upgrade_and_bound(
    former: Application, empty_database: str, receiver: Receiver
) -> None:
    tenant, webhook = await webhook_of_former_version(former, receiver.url)
    await former.webhook(tenant, "http://127.0.0.1:9/", types=["never"])
    await migrations.migrate(empty_database)
    waiting = await listed(former)
    await former.event(tenant)
    async with serving(empty_database, **keys(OLD)):
        await until(lambda: settled(former, webhook, "success", 1))

    row = await former.health(webhook)
    [request] = receiver.received
    vault, sealed = Vault([OLD]), orjson.loads(row["custom_headers"])["Authorization"]
    data = header_data(webhook, "Authorization", url=receiver.url)
    assert request.headers["authorization"] == BEARER
    assert waiting == [webhook]
    assert await listed(former) == []
    assert vault.open(sealed, associated_data=data.with_origin) == BEARER
    assert row["client_key"].startswith("sealed:")
    assert row["consecutive_failures"] == 0


async def test_a_url_that_moves_between_migration_and_binding_takes_nothing_along(
    former: Application, empty_database: str, receiver: Receiver
) -> None:
    tenant, webhook = await webhook_of_former_version(former, receiver.url)
    await migrations.migrate(empty_database)
    async with receiving() as thief:
        await former.db.execute("UPDATE webhooks SET endpoint_url = $1", thief.url)
        await former.event(tenant)
        async with serving(empty_database, **keys(OLD)):
            await until(lambda: settled(former, webhook, "failed", 1))
            await former.db.execute("UPDATE webhooks SET endpoint_url = $1", receiver.url)
            await former.event(tenant)
            await until(lambda: settled(former, webhook, "success", 1))
        received = thief.received

    failed = [each for each in await former.deliveries(webhook) if each["status"] == "failed"]
    assert SET_AGAIN in failed[0]["error_message"]
    assert received == []
    assert receiver.received[0].headers["authorization"] == BEARER


@pytest.mark.parametrize("sealed_with", [OLD_ID, ""])
@pytest.mark.parametrize("moved", [True, False])
async def test_an_old_copy_that_is_put_back_after_the_upgrade_opens_nowhere(
    app: Application, database: str, receiver: Receiver, sealed_with: str, moved: bool
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, "http://127.0.0.1:9/" if moved else receiver.url)
    async with serving(database, **keys(OLD)):
        await until(lambda: is_sealed_with(app, OLD_ID, webhook))
        await app.db.execute(
            "UPDATE webhooks SET endpoint_url = $1, custom_headers = $2, sealed_with = $3",
            *(receiver.url, former_headers(webhook), sealed_with),
        )
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "failed", 1))

    row = (await app.deliveries(webhook))[0]
    assert row["error_message"] == SET_AGAIN
    assert receiver.received == []


async def test_until_its_row_is_bound_a_webhook_s_deliveries_wait_without_charge(
    former: Application, empty_database: str, receiver: Receiver
) -> None:
    tenant, webhook = await webhook_of_former_version(former, receiver.url)
    await migrations.migrate(empty_database)
    locker = await asyncpg.connect(empty_database)
    transaction = locker.transaction()
    await transaction.start()
    await locker.execute("SELECT FROM webhooks WHERE id = $1 FOR NO KEY UPDATE", webhook)
    async with serving(empty_database, **keys(OLD)) as service:
        await former.event(tenant)

        async def is_postponed() -> bool:
            lines = (await metrics_of(service)).splitlines()
            counts = [line for line in lines if line.startswith("webhookd_postponed_total")]
            return any(float(line.split()[-1]) > 0 for line in counts)

        await until(is_postponed)
        health, before = await former.health(webhook), list(receiver.received)
        await transaction.rollback()
        await until(lambda: settled(former, webhook, "success", 1))
    await locker.close()

    assert (health["consecutive_failures"], before) == (0, [])
    assert receiver.received[0].headers["authorization"] == BEARER


async def test_values_of_a_former_version_under_a_missing_key_are_bound_when_it_is_back(
    former: Application, empty_database: str, receiver: Receiver
) -> None:
    tenant, webhook = await webhook_of_former_version(former, receiver.url)
    await migrations.migrate(empty_database)
    async with serving(empty_database, **keys(NEW)) as service:
        await until(lambda: is_sealed_with(former, UNREADABLE, webhook))
        waiting = await listed(former)
        service.reload(config(**keys(NEW, OLD)))
        await until(lambda: is_sealed_with(former, NEW_ID, webhook))
        await former.event(tenant)
        await until(lambda: settled(former, webhook, "success", 1))

    assert waiting == [webhook]
    assert receiver.received[0].headers["authorization"] == BEARER


async def test_a_webhook_that_is_gone_leaves_the_list(
    former: Application, empty_database: str
) -> None:
    _, webhook = await webhook_of_former_version(former, "http://127.0.0.1:9/")
    await migrations.migrate(empty_database)
    waiting = await listed(former)
    await former.db.execute("DELETE FROM webhooks WHERE id = $1", webhook)

    assert (waiting, await listed(former)) == ([webhook], [])


async def test_a_key_change_reseals_the_secret_of_a_moved_webhook_and_keeps_its_headers(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    headers = orjson.dumps({"Authorization": BEARER}).decode()
    await app.db.execute("UPDATE webhooks SET custom_headers = $1", headers)
    async with serving(database, **keys(OLD)) as service:
        await until(lambda: is_sealed_with(app, OLD_ID, webhook))
        await app.db.execute("UPDATE webhooks SET endpoint_url = 'http://127.0.0.1:9/'")
        service.reload(config(**keys(NEW, OLD)))
        await until(lambda: is_sealed_with(app, OTHER_ORIGIN, webhook))
        row = await app.health(webhook)
        await app.db.execute("UPDATE webhooks SET endpoint_url = $1", receiver.url)
        service.reload(config(**keys(NEW, OLD)))
        await until(lambda: is_sealed_with(app, NEW_ID, webhook))
        service.reload(config(**keys(NEW)))
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))

    assert row["secret_key"].startswith(f"sealed:1:{NEW_ID}:")
    assert receiver.received[0].headers["authorization"] == BEARER
