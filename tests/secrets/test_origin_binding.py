"""A writer of the database cannot send a webhook's sealed headers or key to another origin."""

from uuid import UUID

import pytest

from daemon.secrets.encryption import Vault
from tests.secrets.webhooks import BEARER, webhook_with_headers
from tests.support.application import SECRET, Application
from tests.support.certificates import Authority
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver, receiving

KEY = "k" * 32
SEALED = {"security": {"master_keys": [KEY]}}
SET_AGAIN = "were set for another origin than the URL's: set them again"


async def is_sealed(app: Application, webhook: UUID) -> bool:
    return bool((await app.health(webhook))["sealed_with"] == Vault([KEY]).newest)


async def test_headers_do_not_follow_a_url_that_was_changed_by_sql(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant, webhook = await webhook_with_headers(app, receiver.url, {"Authorization": BEARER})
    async with serving(database, **SEALED), receiving() as thief:
        await until(lambda: is_sealed(app, webhook))
        await app.db.execute(
            "UPDATE webhooks SET endpoint_url = $2 WHERE id = $1", webhook, thief.url
        )
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "failed", 1))
        received = thief.received

    row = (await app.deliveries(webhook))[0]
    assert row["error_message"] == f"the custom headers {SET_AGAIN}"
    assert (await app.health(webhook))["consecutive_failures"] == 1
    assert received == []


async def test_a_client_certificate_does_not_follow_a_url_that_was_changed_by_sql(
    app: Application, database: str, receiver: Receiver
) -> None:
    client = Authority().client("a-webhook")
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    await app.db.execute(
        "UPDATE webhooks SET client_certificate = $2, client_key = $3 WHERE id = $1",
        *(webhook, client.certificate, client.key),
    )
    async with serving(database, **SEALED), receiving() as thief:
        await until(lambda: is_sealed(app, webhook))
        await app.db.execute(
            "UPDATE webhooks SET endpoint_url = $2 WHERE id = $1", webhook, thief.url
        )
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "failed", 1))
        received = thief.received

    row = (await app.deliveries(webhook))[0]
    assert "the client certificate was set for another origin" in row["error_message"]
    assert received == []


async def test_headers_copied_to_another_row_fail_there_and_stay_good_at_their_own(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant, victim = await webhook_with_headers(app, receiver.url, {"Authorization": BEARER})
    async with serving(database, **SEALED), receiving() as own:
        thief = await app.webhook(tenant, own.url)
        same_origin = await app.webhook(tenant, receiver.url + "/copy")
        await until(lambda: is_sealed(app, victim))
        await app.db.execute(
            "UPDATE webhooks AS w SET custom_headers = v.custom_headers,"
            " sealed_with = v.sealed_with FROM webhooks AS v WHERE v.id = $1 AND w.id <> v.id",
            victim,
        )
        await app.event(tenant)
        await until(lambda: settled(app, victim, "success", 1))
        for copied in (thief, same_origin):
            await until(lambda copied=copied: settled(app, copied, "failed", 1))
        received = own.received

    assert received == []
    [request] = receiver.received
    assert request.headers["authorization"] == BEARER


async def test_the_signing_secret_survives_a_move_by_sql(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, "http://127.0.0.1:9/")
    async with serving(database, **SEALED):
        await until(lambda: is_sealed(app, webhook))
        await app.db.execute("UPDATE webhooks SET endpoint_url = $1", receiver.url)
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))

    assert (await app.health(webhook))["secret_key"].startswith("sealed:")


async def test_headers_that_the_application_writes_with_the_url_are_sent(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant, webhook = await webhook_with_headers(app, "http://127.0.0.1:9/", {"X-A": "before"})
    async with serving(database, **SEALED):
        await until(lambda: is_sealed(app, webhook))
        await app.db.execute(
            "UPDATE webhooks SET endpoint_url = $1, custom_headers = $2",
            *(receiver.url, '{"X-A": "after"}'),
        )
        await until(lambda: is_sealed(app, webhook))
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))

    assert receiver.received[0].headers["x-a"] == "after"


@pytest.mark.parametrize("respelled", ["{}/another/path", "{}"])
async def test_headers_are_sent_after_a_change_by_sql_within_the_same_origin(
    app: Application, database: str, receiver: Receiver, respelled: str
) -> None:
    tenant, webhook = await webhook_with_headers(app, receiver.url, {"Authorization": BEARER})
    async with serving(database, **SEALED):
        await until(lambda: is_sealed(app, webhook))
        await app.db.execute(
            "UPDATE webhooks SET endpoint_url = $1",
            respelled.format(receiver.url.replace("http", "HTTP")),
        )
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))

    assert receiver.received[0].headers["authorization"] == BEARER


async def test_without_master_keys_the_application_s_own_values_follow_its_url(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant, webhook = await webhook_with_headers(
        app, "http://127.0.0.1:9/", {"Authorization": BEARER}
    )
    async with serving(database):
        await app.db.execute("UPDATE webhooks SET endpoint_url = $1", receiver.url)
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))

    row = await app.health(webhook)
    assert row["secret_key"] == SECRET
    assert receiver.received[0].headers["authorization"] == BEARER
