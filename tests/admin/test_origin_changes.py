"""A webhook's own headers and certificate do not follow its URL to another origin by themselves."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import pytest

from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application
from tests.support.certificates import Authority
from tests.support.daemons import until
from tests.support.deliveries import settled
from tests.support.postgres import temporary_database
from tests.support.receiver import Receiver, receiving
from tests.support.shared_daemon import SharedDaemon, shared_daemon

KEY = "k" * 32
HEADERS = {"Authorization": "Bearer c4n4ry-c4n4ry", "X-Env": "c4n4ry-production"}
URL = "https://127.0.0.1/hook"


@pytest.fixture(scope="module", params=[[], [KEY]], ids=["plain", "sealed"])
def shared(
    postgres_url: str, migrated_template: str, request: pytest.FixtureRequest
) -> Iterator[SharedDaemon]:
    with (
        temporary_database(postgres_url, template=migrated_template) as url,
        shared_daemon(url, security={"master_keys": request.param}) as running,
    ):
        yield running


@pytest.fixture
async def own_receiver() -> AsyncIterator[Receiver]:
    """The receiver of an attacker: another port of the same host is another origin."""
    async with receiving() as running:
        yield running


async def patched(api: ApiClient, created: Any, **members: Any) -> Any:
    return await api.patch(f"/api/webhooks/{created['id']}", members)


async def test_headers_cannot_be_read_back_with_a_url_of_one_s_own(
    api: ApiClient, receiver: Receiver, own_receiver: Receiver
) -> None:
    created = await api.create_webhook(receiver.url, customHeaders=HEADERS)

    moved = await patched(api, created, endpointUrl=own_receiver.url)
    tested = await api.post(f"/api/webhooks/{created['id']}/test")

    assert moved.status == 422
    assert moved.error == (
        "endpointUrl: it moves to another origin: send customHeaders (Authorization, X-Env)"
        " again in the same request, or null to remove them"
    )
    assert moved.pointers == ["#/customHeaders/Authorization", "#/customHeaders/X-Env"]
    assert tested.status == 200
    assert own_receiver.received == []
    assert receiver.received[0].headers["authorization"] == HEADERS["Authorization"]


async def test_what_is_missing_is_named_exactly(api: ApiClient) -> None:
    client = Authority().client("a-webhook")
    certificate = {"certificate": client.certificate, "key": client.key}
    created = await api.create_webhook(URL, customHeaders=HEADERS, clientCertificate=certificate)
    elsewhere = "https://127.0.0.2/hook"
    given: list[dict[str, Any]] = [
        {},
        {"customHeaders": None},
        {"customHeaders": {}},
        {"customHeaders": {"x-env": "new"}, "clientCertificate": None},
        {"customHeaders": {"X-Other": "new"}, "clientCertificate": certificate},
        {"clientCertificate": None, "name": "another"},
    ]

    answers = [await patched(api, created, endpointUrl=elsewhere, **each) for each in given]

    authorization, env = "#/customHeaders/Authorization", "#/customHeaders/X-Env"
    assert [each.status for each in answers] == [422] * 6
    assert [each.pointers for each in answers] == [
        [authorization, env, "#/clientCertificate"],
        ["#/clientCertificate"],
        [authorization, env, "#/clientCertificate"],
        [authorization],
        [authorization, env],
        [authorization, env],
    ]
    assert "c4n4ry" not in "".join(each.text for each in answers)
    shown = (await api.get(f"/api/webhooks/{created['id']}")).json
    assert (shown["endpointUrl"], shown["name"]) == (URL, created["name"])


async def test_headers_that_are_sent_again_are_used_at_the_new_origin(
    api: ApiClient, receiver: Receiver, own_receiver: Receiver
) -> None:
    created = await api.create_webhook(receiver.url, customHeaders=HEADERS)

    moved = await patched(
        api,
        created,
        endpointUrl=own_receiver.url,
        customHeaders={"authorization": "Bearer another", "X-Env": None},
    )
    tested = await api.post(f"/api/webhooks/{created['id']}/test")

    [request] = own_receiver.received
    assert (moved.status, tested.status, moved.json["warnings"]) == (200, 200, [])
    assert request.headers["authorization"] == "Bearer another"
    assert "x-env" not in request.headers


async def test_the_signing_secret_follows_the_url(
    api: ApiClient, receiver: Receiver, own_receiver: Receiver
) -> None:
    created = await api.create_webhook(receiver.url)

    moved = await patched(api, created, endpointUrl=own_receiver.url)
    tested = await api.post(f"/api/webhooks/{created['id']}/test")

    assert (moved.status, tested.status) == (200, 200)
    assert "x-penguinmails-signature" in own_receiver.received[0].headers


async def test_headers_that_are_removed_do_not_follow(
    api: ApiClient, receiver: Receiver, own_receiver: Receiver
) -> None:
    created = await api.create_webhook(receiver.url, customHeaders=HEADERS)

    moved = await patched(api, created, endpointUrl=own_receiver.url, customHeaders=None)
    tested = await api.post(f"/api/webhooks/{created['id']}/test")

    assert (moved.status, moved.json["customHeaders"], tested.status) == (200, None, 200)
    assert "authorization" not in own_receiver.received[0].headers


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (URL, "https://127.0.0.1/another?path=1"),
        (URL, "https://127.0.0.1:443/hook"),
        (URL, "HTTPS://127.0.0.1:0443"),
        ("https://Hooks.Example.com/a", "https://hooks.example.COM/a"),
        ("https://bücher.example/", "https://xn--bcher-kva.example:443/x"),
        ("http://127.0.0.1/", "http://127.0.0.1:80/"),
    ],
)
async def test_a_change_within_the_same_origin_asks_for_nothing(
    api: ApiClient, before: str, after: str
) -> None:
    created = await api.create_webhook(before, customHeaders=HEADERS)

    moved = await patched(api, created, endpointUrl=after)

    assert (moved.status, moved.json["warnings"]) == (200, [])
    assert moved.json["customHeaders"] == created["customHeaders"]


@pytest.mark.parametrize(
    "after", ["http://127.0.0.1/hook", "https://127.0.0.1:8443/hook", "https://localhost/hook"]
)
async def test_another_scheme_port_or_name_is_another_origin(api: ApiClient, after: str) -> None:
    created = await api.create_webhook(URL, customHeaders=HEADERS)

    assert (await patched(api, created, endpointUrl=after)).status == 422


async def test_a_path_changes_and_the_headers_are_still_sent(
    api: ApiClient, receiver: Receiver
) -> None:
    created = await api.create_webhook(receiver.url, customHeaders=HEADERS)

    await patched(api, created, endpointUrl=receiver.url + "/other", customHeaders={"X-B": "b"})
    tested = await api.post(f"/api/webhooks/{created['id']}/test")

    [request] = receiver.at("/other")
    assert tested.status == 200
    assert request.headers["authorization"] == HEADERS["Authorization"]
    assert request.headers["x-b"] == "b"


async def test_a_webhook_that_the_application_moved_asks_for_its_headers_again(
    app: Application, database: str, tenant: UUID, receiver: Receiver, own_receiver: Receiver
) -> None:
    async with serving_api(database, tenant, security={"master_keys": [KEY]}) as api:
        created = await api.create_webhook(receiver.url, customHeaders=HEADERS)
        path = f"/api/webhooks/{created['id']}"
        await app.db.execute("UPDATE webhooks SET endpoint_url = $1", own_receiver.url)
        shown = (await api.get(path)).json
        listed = (await api.get("/api/webhooks")).json["webhooks"]
        tested = await api.post(f"{path}/test")
        partly = await api.patch(path, {"customHeaders": {"X-Env": "new"}})
        repaired = await api.patch(
            path, {"customHeaders": {"X-Env": "new", "Authorization": "Bearer new"}}
        )
        again = await api.post(f"{path}/test")

    sentence = "the custom headers were set for another origin than the URL's: set them again"
    assert shown["warnings"] == [f"customHeaders: {sentence}"] == listed[0]["warnings"]
    assert (tested.status, tested.error) == (400, sentence)
    assert (partly.status, partly.pointers) == (422, ["#/customHeaders/Authorization"])
    assert (repaired.status, repaired.json["warnings"], again.status) == (200, [], 200)
    [request] = own_receiver.received
    assert request.headers["authorization"] == "Bearer new"


async def test_retries_and_replays_of_a_moved_webhook_fail_without_its_headers(
    app: Application, database: str, tenant: UUID, receiver: Receiver, own_receiver: Receiver
) -> None:
    async with serving_api(database, tenant, security={"master_keys": [KEY]}) as api:
        created = await api.create_webhook(receiver.url, customHeaders=HEADERS)
        webhook = UUID(created["id"])
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))
        [delivery] = await app.deliveries(webhook)
        await app.db.execute("UPDATE webhooks SET endpoint_url = $1", own_receiver.url)

        retried = await api.post(f"/api/deliveries/{delivery['id']}/retry")
        await until(lambda: settled(app, webhook, "failed", 1))
        await app.db.execute("DELETE FROM webhook_deliveries WHERE status = 'pending_retry'")
        window = {"from": "2020-01-01T00:00:00Z"}
        replayed = await api.post("/api/replays", {"webhookId": str(webhook), **window})
        await until(lambda: settled(app, webhook, "failed", 2))

    assert (retried.status, replayed.status, replayed.json["total"]) == (202, 202, 1)
    assert own_receiver.received == []
