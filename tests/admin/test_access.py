"""Who may ask what: hosts, tokens, tenants, and nothing of another tenant's, in any route."""

import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from daemon.admin.api.auth import Access
from daemon.admin.resources import routes
from daemon.config import Config
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.secrets.vault import Vault
from tests.support.api_client import OPERATOR, Caller, serving_api
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver, Reply

NOTHING: Any = None  # they are only looked at
OPERATIONS = routes.operations(
    database=NOTHING,
    attempts=NOTHING,
    offload=NOTHING,
    vault=Vault(),
    policy=EgressPolicy(),
    access=Access([OPERATOR], allowed_hosts=[]),
)
# What a call needs in its body to come as far as looking for what it names.
BODIES = {
    "changeWebhook": {"name": "stolen"},
    "testWebhook": {"sample": True},
    "retryFailed": {"from": "2020-01-01T00:00:00Z"},
}


async def test_without_tokens_only_health_and_metrics_are_served(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    async with (
        serving(database) as service,
        aiohttp.ClientSession(f"http://127.0.0.1:{service.port}") as session,
    ):
        caller = Caller(session, {"Authorization": "Bearer x", "X-Tenant-ID": str(tenant)})
        found = {
            path: (await caller.get(path)).status
            for path in ("/healthz", "/metrics", "/api/webhooks", "/openapi.json", "/docs")
        }

    assert found == {
        "/healthz": 200,
        "/metrics": 200,
        "/api/webhooks": 404,
        "/openapi.json": 404,
        "/docs": 404,
    }


@pytest.mark.parametrize(
    ("authorization", "told"),
    [
        (None, "a bearer token is needed"),
        ("", "a bearer token is needed"),
        ("Basic b3BlcmF0b3I6eA==", "a bearer token is needed"),
        ("Bearer", "a bearer token is needed"),
        (f"Bearer {OPERATOR}x", "this token is not good"),
        (f"Bearer {OPERATOR[:-1]}", "this token is not good"),
        ("Bearer wht_AAAA", "this token is not good"),
        ("Bearer wht_é", "this token is not good"),
    ],
)
async def test_who_has_no_good_token_is_told_so(
    app: Application, database: str, authorization: str | None, told: str
) -> None:
    async with serving_api(database, await app.tenant()) as operator:
        answer = await operator.with_headers(Authorization=authorization).get("/api/webhooks")

    assert answer.status == 401
    assert told in answer.error
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_every_route_needs_a_token(app: Application, database: str) -> None:
    async with serving_api(database, await app.tenant()) as operator:
        stranger = operator.with_headers(Authorization=None)
        found = {
            operation.name: (
                await stranger.call(operation.method, operation.path.replace("{id}", str(uuid4())))
            ).status
            for operation in OPERATIONS
        }

    assert set(found.values()) == {401}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LocalHost:8484", 200),
        ("127.0.0.1", 200),
        ("[::1]:80", 200),
        ("hooks.example.com", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example:8484", 421),
        ("hooks.example.com.", 421),
        ("localhost:\u0663", 421),
        ("localhost:", 421),
        ("[localhost]", 421),
        ("[localhost", 421),
        ("", 421),
    ],
)
async def test_the_host_is_looked_at_before_the_token(
    app: Application, database: str, host: str, status: int
) -> None:
    hosts = ["localhost", "127.0.0.1", "::1", "hooks.example.com"]
    tenant = await app.tenant()
    async with serving_api(database, tenant, admin={"allowed_hosts": hosts}) as operator:
        named = operator.with_headers(Host=host)
        with_token = await named.get("/api/webhooks")
        without = await named.with_headers(Authorization=None).get("/api/webhooks")
        health = await named.get("/healthz")

    assert with_token.status == status
    assert without.status == (421 if status == 421 else 401)
    assert health.status == 200


async def test_an_operator_must_name_a_tenant_and_a_real_one_to_make_a_webhook(
    app: Application, database: str
) -> None:
    new = {"name": "x", "endpointUrl": "http://127.0.0.1:9/"}
    async with serving_api(database, await app.tenant()) as operator:
        unnamed = await operator.with_headers(X_Tenant_ID=None).get("/api/webhooks")
        misnamed = await operator.with_headers(X_Tenant_ID="nobody").get("/api/webhooks")
        unknown = await operator.as_tenant(uuid4()).post("/api/webhooks", new)

    assert (unnamed.status, misnamed.status, unknown.status) == (400, 404, 404)
    assert "X-Tenant-ID" in unnamed.error
    assert unknown.error == "there is no such tenant"


async def lent(operator: Caller, tenant: UUID, **more: object) -> str:
    answer = await operator.post("/api/tenant-tokens", {"tenantId": str(tenant), **more})
    assert answer.status == 201, answer
    return str(answer.json["token"])


async def test_a_tenant_s_token_carries_its_tenant_and_no_other(
    app: Application, database: str
) -> None:
    mine, other = await app.tenant(), await app.tenant()
    async with serving_api(database, mine) as operator:
        made = await operator.webhook("http://127.0.0.1:9/")
        tenant = operator.with_token(await lent(operator, mine, expiresIn=60))
        listed = await tenant.get("/api/webhooks")
        as_other = await tenant.as_tenant(other).get("/api/webhooks")
        lending = await tenant.post("/api/tenant-tokens", {"tenantId": str(mine)})

    assert [each["id"] for each in listed.json["webhooks"]] == [made["id"]]
    assert (as_other.status, lending.status) == (403, 403)


@pytest.mark.parametrize(
    "expires_in", [0, -1, 59, 60.5, 86_401, 10**18, "1s", "2d", "soon", None, True]
)
async def test_a_tenant_s_token_lives_from_a_minute_to_a_day(
    app: Application, database: str, expires_in: object
) -> None:
    tenant = await app.tenant()
    async with serving_api(database, tenant) as operator:
        answer = await operator.post(
            "/api/tenant-tokens", {"tenantId": str(tenant), "expiresIn": expires_in}
        )

    assert (answer.status, answer.pointers) == (422, ["#/expiresIn"])


async def test_a_tenant_that_is_not_there_has_no_token_and_no_webhooks(
    app: Application, database: str
) -> None:
    async with serving_api(database, uuid4()) as operator:
        lent_to_nobody = await operator.post("/api/tenant-tokens", {"tenantId": str(uuid4())})
        listed = await operator.get("/api/webhooks")

    assert [(each.status, each.error) for each in (lent_to_nobody, listed)] == [
        (404, "there is no such tenant")
    ] * 2


def token_for(access: Access, tenant: UUID, lifetime: timedelta = timedelta(hours=1)) -> str:
    return access.tenant_token(tenant, lifetime=lifetime).text


async def test_a_tenant_s_token_ends_and_cannot_be_forged(app: Application, database: str) -> None:
    tenant = await app.tenant()
    ours = Access([OPERATOR], allowed_hosts=[])
    good = token_for(ours, tenant)
    raw = urlsafe_b64decode(good.removeprefix("wht_"))
    later = (int(time.time()) + 10**6).to_bytes(8)
    forged = {
        "of an operator we do not know": token_for(Access(["x" * 30], allowed_hosts=[]), tenant),
        "over": token_for(ours, tenant, timedelta(seconds=-1)),
        "prolonged": "wht_" + urlsafe_b64encode(raw[:16] + later + raw[24:]).decode(),
        "for another tenant": "wht_" + urlsafe_b64encode(uuid4().bytes + raw[16:]).decode(),
        "cut off": good[:-4],
        "empty": "wht_",
        "unsigned": "wht_" + urlsafe_b64encode(raw[:24]).decode(),
        "without its prefix": good.removeprefix("wht_"),
        "prefixed twice": "wht_" + good,
        "longer": good + "AAAA",
        "with others' letters between": f"{good[:10]}!!..{good[10:]}",
        "without its padding": good.rstrip("="),
        "with bits that say nothing": good[:-2] + chr(ord(good[-2]) + 1) + "=",
    }
    async with serving_api(database, tenant) as operator:
        accepted = await operator.with_token(good).get("/api/webhooks")
        refused = {
            name: (await operator.with_token(token).get("/api/webhooks")).status
            for name, token in forged.items()
        }

    assert accepted.status == 200
    assert set(refused.values()) == {401}, refused


async def test_what_is_another_tenant_s_is_not_there_in_any_route(
    app: Application, database: str, receiver: Receiver
) -> None:
    owner, thief = await app.tenant(), await app.tenant()
    receiver.answer = lambda _: Reply(500)
    async with serving_api(database, owner, delivery={"retry_schedule": []}) as mine:
        webhook = (await mine.webhook(receiver.url))["id"]
        event = str(await app.event(owner))
        await until(lambda: settled(app, UUID(webhook), "failed", 1))
        [delivery] = [str(row["id"]) for row in await app.deliveries(UUID(webhook))]
        begun = await mine.post(
            "/api/replays", {"webhookId": webhook, "from": "2020-01-01T00:00:00Z"}
        )
        ids = {
            "webhook": webhook,
            "event": event,
            "delivery": delivery,
            "replay": begun.json["id"],
        }
        before = await everything(app)
        theirs = mine.with_token(await lent(mine, thief))
        found = {}
        for operation in OPERATIONS:
            if operation.takes_id:
                path = operation.path.replace("{id}", ids[operation.id_name])
                body = BODIES.get(operation.name)
                found[operation.name] = (await theirs.call(operation.method, path, body)).status
        replayed = await theirs.post(
            "/api/replays", {"webhookId": webhook, "from": "2020-01-01T00:00:00Z"}
        )
        lists = [
            (await theirs.get(path)).json[member]
            for path, member in (("/api/webhooks", "webhooks"), ("/api/events", "events"))
        ]
        reached = {
            operation.name: (
                await mine.call(
                    operation.method,
                    operation.path.replace("{id}", ids[operation.id_name]),
                    BODIES.get(operation.name),
                )
            ).status
            for operation in OPERATIONS
            if operation.takes_id and operation.method == "GET"
        }

        assert set(found.values()) == {404}, found
        assert replayed.status == 404
        assert lists == [[], []]
        assert set(reached.values()) == {200}
        assert await everything(app) == before


async def everything(app: Application) -> list[object]:
    """What a thief might have changed."""
    return [
        await app.db.fetch("SELECT name, is_active, secret_key FROM webhooks"),
        await app.db.fetchval("SELECT count(*) FROM webhook_replays"),
        await app.db.fetch("SELECT status FROM webhook_replays WHERE status = 'cancelled'"),
    ]


def test_the_tokens_are_secrets_of_the_configuration() -> None:
    config = Config.model_validate({"admin": {"tokens": [OPERATOR]}})

    assert OPERATOR not in repr(config)
