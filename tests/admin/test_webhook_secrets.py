"""Secrets, headers and client certificates over the API: sealed, never shown again, rotated."""

import threading
from typing import Any
from uuid import UUID

import pytest

from daemon.admin.resources import webhook_secrets
from daemon.core.model.secrets import ClientCertificate
from daemon.core.wire import signing
from daemon.secrets.encryption import Vault
from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application
from tests.support.certificates import Authority
from tests.support.client_keys import encrypted_key, odd_number, rsa_key
from tests.support.daemons import until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver

URL = "http://127.0.0.1:9/hook"


async def test_the_secret_is_shown_once_and_signs_requests(
    own_api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    created = await own_api.create_webhook(receiver.url)
    again = await own_api.get(f"/api/webhooks/{created['id']}")
    listed = await own_api.get("/api/webhooks")

    await app.event(tenant)
    await until(lambda: settled(app, UUID(created["id"]), "success", 1))

    [request] = receiver.received
    assert created["secretKey"] not in again.text + listed.text
    assert "secretKey" not in again.json
    assert request.headers["x-penguinmails-signature"] == signing.sign(
        request.body, created["secretKey"]
    )


async def test_headers_are_merged_by_name_and_their_values_are_never_shown(
    own_api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    created = await own_api.create_webhook(
        receiver.url, customHeaders={"Authorization": "Bearer c4n4ry", "X-A": "c4n4ry-a"}
    )
    changed = await own_api.patch(
        f"/api/webhooks/{created['id']}",
        {"customHeaders": {"x-a": None, "X-B": "c4n4ry-b"}},
    )
    await app.event(tenant)
    await until(lambda: settled(app, UUID(created["id"]), "success", 1))
    removed = await own_api.patch(f"/api/webhooks/{created['id']}", {"customHeaders": None})

    [request] = receiver.received
    assert created["customHeaders"] == {"Authorization": "[hidden]", "X-A": "[hidden]"}
    assert changed.json["customHeaders"] == {"Authorization": "[hidden]", "X-B": "[hidden]"}
    assert removed.json["customHeaders"] is None
    assert request.headers["authorization"] == "Bearer c4n4ry"
    assert request.headers["x-b"] == "c4n4ry-b"
    assert "x-a" not in request.headers


async def test_a_client_certificate_is_stored_and_never_shown(
    own_api: ApiClient, app: Application
) -> None:
    client = Authority().client("a-webhook")
    created = await own_api.create_webhook(
        URL, clientCertificate={"certificate": client.certificate, "key": client.key}
    )

    row = await app.health(UUID(created["id"]))
    removed = await own_api.patch(f"/api/webhooks/{created['id']}", {"clientCertificate": None})

    assert created["hasClientCertificate"] is True
    assert (row["client_certificate"], row["client_key"]) == (client.certificate, client.key)
    assert removed.json["hasClientCertificate"] is False


async def test_only_what_is_presented_of_a_client_certificate_is_stored(
    own_api: ApiClient, app: Application
) -> None:
    client = Authority().client("a-webhook")
    given = {"certificate": f"Notes\n{client.certificate}", "key": f"Key\n{client.key}\nend"}
    created = await own_api.create_webhook(URL, clientCertificate=given)
    row = await app.health(UUID(created["id"]))
    await own_api.patch(f"/api/webhooks/{created['id']}", {"clientCertificate": None})
    await own_api.patch(f"/api/webhooks/{created['id']}", {"clientCertificate": given})
    again = await app.health(UUID(created["id"]))

    for each in (row, again):
        assert (each["client_certificate"], each["client_key"]) == (client.certificate, client.key)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (encrypted_key(iterations=2**31 - 1), "its key has a pass phrase"),
        (rsa_key(*[odd_number(6000), 3, *[odd_number(5000)] * 6]), "its key must be RSA of 2048"),
    ],
    ids=["pass phrase", "huge numbers"],
)
async def test_a_hostile_key_is_refused_at_once(api: ApiClient, key: str, reason: str) -> None:
    given = {"certificate": Authority().client("a-webhook").certificate, "key": key}
    webhook = await api.create_webhook(URL)

    created = await api.post(
        "/api/webhooks", {"name": "x", "endpointUrl": URL, "clientCertificate": given}
    )
    changed = await api.patch(f"/api/webhooks/{webhook['id']}", {"clientCertificate": given})

    for answer in (created, changed):
        assert (answer.status, answer.pointers) == (422, ["#/clientCertificate"])
        assert reason in answer.error


async def test_certificates_are_judged_beside_the_event_loop(
    own_api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set()

    def recording(client: ClientCertificate) -> ClientCertificate:
        threads.add(threading.current_thread())
        return client

    monkeypatch.setattr(webhook_secrets, "usable_client", recording)
    given = {"certificate": "x", "key": "y"}
    webhook = await own_api.create_webhook(URL, clientCertificate=given)
    await own_api.patch(f"/api/webhooks/{webhook['id']}", {"clientCertificate": given})

    assert {thread.name.partition("_")[0] for thread in threads} == {"offload-short"}


async def test_secrets_are_sealed_before_they_are_stored(
    app: Application, database: str, tenant: UUID
) -> None:
    key = "k" * 32
    async with serving_api(database, tenant, security={"master_keys": [key]}) as api:
        created = await api.create_webhook(URL, customHeaders={"X-Key": "c4n4ry"}, isActive=False)
        row = await app.health(UUID(created["id"]))
        changed = await api.patch(f"/api/webhooks/{created['id']}", {"customHeaders": {"X-2": "v"}})

    opened = Vault([key]).open(row["secret_key"], associated_data=f"{created['id']}/secret")
    assert opened == created["secretKey"]
    assert "c4n4ry" not in str(dict(row))
    assert changed.json["customHeaders"] == {"X-Key": "[hidden]", "X-2": "[hidden]"}


@pytest.mark.parametrize("change", [{"name": "another"}, {"customHeaders": {"X-Key": "c4n4ry"}}])
async def test_an_update_seals_the_plain_secrets_that_the_application_wrote(
    app: Application, database: str, tenant: UUID, change: dict[str, Any]
) -> None:
    async with serving_api(database, tenant, security={"master_keys": ["k" * 32]}) as api:
        for _ in range(3):
            webhook = await app.webhook(tenant, URL)
            changed = await api.patch(f"/api/webhooks/{webhook}", change)
            assert changed.status == 200
        await until(lambda: all_secrets_are_sealed(app))


async def all_secrets_are_sealed(app: Application) -> bool:
    rows = await app.db.fetch("SELECT secret_key, custom_headers FROM webhooks")
    return all(row["secret_key"].startswith("sealed:") for row in rows) and not any(
        "c4n4ry" in (row["custom_headers"] or "") for row in rows
    )


async def test_a_webhook_whose_secret_cannot_be_opened_can_be_updated(
    app: Application, database: str, tenant: UUID
) -> None:
    webhook = await app.webhook(tenant, URL)
    async with serving_api(database, tenant, security={"master_keys": ["k" * 32]}):
        await until(lambda: all_secrets_are_sealed(app))

    async with serving_api(database, tenant, security={"master_keys": ["o" * 32]}) as api:
        renamed = await api.patch(f"/api/webhooks/{webhook}", {"name": "x", "isActive": False})

    assert (renamed.status, renamed.json["isActive"]) == (200, False)


async def test_after_a_rotation_both_secrets_sign(
    own_api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    created = await own_api.create_webhook(receiver.url)
    rotated = await own_api.post(f"/api/webhooks/{created['id']}/rotate-secret", {"overlap": "1h"})
    await app.event(tenant)
    await until(lambda: settled(app, UUID(created["id"]), "success", 1))

    [request] = receiver.received
    shown = await own_api.get(f"/api/webhooks/{created['id']}")
    assert rotated.status == 200
    assert request.headers["x-penguinmails-signature"] == signing.sign(
        request.body, rotated.json["secretKey"]
    )
    assert request.headers["x-penguinmails-signature-previous"] == signing.sign(
        request.body, created["secretKey"]
    )
    assert shown.json["previousSecretExpiresAt"] == rotated.json["previousSecretExpiresAt"]


async def test_a_second_rotation_does_not_end_the_previous_secret(
    own_api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    created = await own_api.create_webhook(receiver.url)
    path = f"/api/webhooks/{created['id']}/rotate-secret"
    first = await own_api.post(path, {"overlap": "1h"})
    second = await own_api.post(path)
    replaced = await own_api.post(path, {"replace": True})
    await app.event(tenant)
    await until(lambda: settled(app, UUID(created["id"]), "success", 1))
    ended = await own_api.post(path, {"overlap": "0s"})

    [request] = receiver.received
    assert [each.status for each in (first, second, replaced, ended)] == [200, 409, 200, 200]
    assert "a rotation is under way until" in second.error
    assert request.headers["x-penguinmails-signature"] == signing.sign(
        request.body, replaced.json["secretKey"]
    )
    assert request.headers["x-penguinmails-signature-previous"] == signing.sign(
        request.body, created["secretKey"]
    )
    assert replaced.json["previousSecretExpiresAt"] == first.json["previousSecretExpiresAt"]
    assert ended.json["previousSecretExpiresAt"] is None
