"""Access to the API: hosts, tokens, tenants, and the isolation of tenants in every operation."""

import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from pydantic import SecretStr

from daemon.admin.api.auth import Access
from daemon.admin.api.operation import Operation
from daemon.admin.resources.delivery_settings import DeliverySettings
from daemon.admin.resources.notification_emails import NotificationEmails
from daemon.admin.resources.routes import ResourceParts, api_routes
from daemon.config import Config, OperatorToken
from daemon.core.model.access import Scope
from daemon.core.model.ids import TenantId, TokenId
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.core.policy.mail_recipients import AllowedRecipients
from daemon.core.policy.webhook_limits import WebhookLimits
from daemon.secrets.encryption import Vault
from tests.support.api_client import OPERATOR, ApiClient, serving_api
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver, Reply
from tests.support.shared_daemon import SharedDaemon, shared_daemon

UNUSED: Any = None  # no operation is called
ADMIN = {"allowed_hosts": ["localhost", "127.0.0.1", "::1", "hooks.example.com"]}


@pytest.fixture(scope="module")
def shared(shared_database: str) -> Iterator[SharedDaemon]:
    """For the refusals; all tests together fail to log in less often than a client may."""
    with shared_daemon(shared_database, admin=ADMIN) as running:
        yield running


def access_with(token: str = OPERATOR) -> Access:
    """Access with one operator token; its tenant tokens are never revoked."""

    async def is_valid(_: TokenId) -> bool:
        return True

    async def is_of_operator(*_: object) -> bool:
        return False

    tokens = [OperatorToken(name="test", token=SecretStr(token))]
    return Access(tokens, allowed_hosts=[], is_valid=is_valid, is_of_operator=is_of_operator)


PARTS = ResourceParts(
    database=UNUSED,
    attempts=UNUSED,
    offload=UNUSED,
    vault=Vault(),
    policy=EgressPolicy(),
    limits=WebhookLimits(),
    access=access_with(),
    emails=NotificationEmails(AllowedRecipients(), can_ask=False),
    deliveries_kept_for=timedelta(days=30),
    schedules=frozenset(),
    explainer=UNUSED,
    reader=UNUSED,
    counts=UNUSED,
    copies=UNUSED,
    readiness=UNUSED,
    sends_mail=False,
    console_url="http://127.0.0.1/console",
    delivery_settings=DeliverySettings(*[UNUSED] * 7),
)
OPERATIONS = [route.operation for route in api_routes(PARTS)]
HOUR = timedelta(hours=1)
# The bodies that pass validation, so that the operation looks up the id in its path.
BODIES = {
    "updateWebhook": {"name": "stolen"},
    "sendTestEvent": {"sample": True},
    "retryFailedDeliveries": {"from": "2020-01-01T00:00:00Z"},
}


async def test_without_tokens_only_health_and_metrics_are_served(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    async with (
        serving(database) as service,
        aiohttp.ClientSession(f"http://127.0.0.1:{service.port}") as session,
    ):
        caller = ApiClient(session, {"Authorization": "Bearer x", "X-Tenant-ID": str(tenant)})
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
    ("authorization", "error"),
    [
        (None, "no bearer token"),
        ("", "no bearer token"),
        ("Basic b3BlcmF0b3I6eA==", "no bearer token"),
        ("Bearer", "no bearer token"),
        (f"Bearer {OPERATOR}x", "invalid or expired token"),
        (f"Bearer {OPERATOR[:-1]}", "invalid or expired token"),
        ("Bearer wht_AAAA", "invalid or expired token"),
        ("Bearer wht_é", "invalid or expired token"),
    ],
)
async def test_a_missing_or_invalid_token_is_a_401(
    shared: SharedDaemon, authorization: str | None, error: str
) -> None:
    async with shared.client() as operator:
        answer = await operator.with_headers(Authorization=authorization).get("/api/webhooks")

    assert answer.status == 401
    assert error in answer.error
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_every_operation_requires_a_token(app: Application, database: str) -> None:
    async with serving_api(database, await app.tenant()) as operator:
        unauthenticated = operator.with_headers(Authorization=None)
        found = {
            operation.operation_id: (
                await unauthenticated.call(
                    operation.method, operation.path.replace("{id}", str(uuid4()))
                )
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
async def test_the_host_is_checked_before_the_token(
    shared: SharedDaemon, host: str, status: int
) -> None:
    async with shared.client() as operator:
        named = operator.with_headers(Host=host)
        with_token = await named.get("/api/webhooks")
        without = await named.with_headers(Authorization=None).get("/api/webhooks")
        health = await named.get("/healthz")

    assert with_token.status == status
    assert without.status == (421 if status == 421 else 401)
    assert health.status == 200


async def test_an_operator_must_name_an_existing_tenant_to_create_a_webhook(
    app: Application, database: str
) -> None:
    new = {"name": "x", "endpointUrl": "http://127.0.0.1:9/"}
    async with serving_api(database, await app.tenant()) as operator:
        unnamed = await operator.with_headers(X_Tenant_ID=None).get("/api/webhooks")
        misnamed = await operator.with_headers(X_Tenant_ID="nobody").get("/api/webhooks")
        unknown = await operator.as_tenant(uuid4()).post("/api/webhooks", new)

    assert (unnamed.status, misnamed.status, unknown.status) == (400, 404, 404)
    assert "X-Tenant-ID" in unnamed.error
    assert unknown.error == "there is no tenant with this id"


async def issued_token(operator: ApiClient, tenant: UUID, **more: object) -> str:
    answer = await operator.post("/api/tenant-tokens", {"tenantId": str(tenant), **more})
    assert answer.status == 201, answer
    return str(answer.json["token"])


async def test_a_tenant_token_gives_access_to_its_tenant_only(
    app: Application, database: str
) -> None:
    mine, other = await app.tenant(), await app.tenant()
    async with serving_api(database, mine) as operator:
        created = await operator.create_webhook("http://127.0.0.1:9/")
        tenant = operator.with_token(await issued_token(operator, mine, expiresIn=60))
        listed = await tenant.get("/api/webhooks")
        as_other = await tenant.as_tenant(other).get("/api/webhooks")
        issuing = await tenant.post("/api/tenant-tokens", {"tenantId": str(mine)})

    assert [each["id"] for each in listed.json["webhooks"]] == [created["id"]]
    assert (as_other.status, issuing.status) == (403, 403)


@pytest.mark.parametrize(
    "expires_in", [0, -1, 59, 60.5, 86_401, 10**18, "1s", "2d", "soon", None, True]
)
async def test_a_tenant_token_lasts_from_a_minute_to_a_day(
    shared: SharedDaemon, expires_in: object
) -> None:
    async with shared.client() as operator:
        tenant = operator.headers["X-Tenant-ID"]
        answer = await operator.post(
            "/api/tenant-tokens", {"tenantId": tenant, "expiresIn": expires_in}
        )

    assert (answer.status, answer.pointers) == (422, ["#/expiresIn"])


async def test_an_unknown_tenant_has_no_tokens_and_no_webhooks(
    app: Application, database: str
) -> None:
    async with serving_api(database, uuid4()) as operator:
        issued = await operator.post("/api/tenant-tokens", {"tenantId": str(uuid4())})
        listed = await operator.get("/api/webhooks")

    assert [(each.status, each.error) for each in (issued, listed)] == [
        (404, "there is no tenant with this id")
    ] * 2


async def token_for(
    app: Application, tenant: UUID, *, operator: str = OPERATOR, lifetime: timedelta = HOUR
) -> str:
    """Sign a token, and store it as one that is valid."""
    signer = access_with(operator).tenant_tokens
    token, text = signer.new_token(TenantId(tenant), lifetime=lifetime, scope=Scope.FULL)
    await app.db.execute(
        "INSERT INTO webhook_tenant_tokens (id, tenant_id, scope, created_by, expires_at)"
        " VALUES ($1, $2, 'full', 'test', now() + interval '1 hour')",
        token.id,
        tenant,
    )
    return text


async def test_a_tenant_token_expires_and_cannot_be_forged(app: Application, database: str) -> None:
    tenant = await app.tenant()
    good = await token_for(app, tenant)
    raw = urlsafe_b64decode(good.removeprefix("wht_"))
    later = (int(time.time()) + 10**6).to_bytes(7)

    def forged_from(changed: bytes) -> str:
        return "wht_" + urlsafe_b64encode(changed).decode()

    forged = {
        "signed with another operator token": await token_for(app, tenant, operator="x" * 30),
        "expired": await token_for(app, tenant, lifetime=timedelta(seconds=-1)),
        "prolonged": forged_from(raw[:32] + later + raw[39:]),
        "for another tenant": forged_from(raw[:16] + uuid4().bytes + raw[32:]),
        "of another scope": forged_from(raw[:39] + b"r" + raw[40:]),
        "of an unknown scope": forged_from(raw[:39] + b"x" + raw[40:]),
        "with another id": forged_from(uuid4().bytes + raw[16:]),
        "truncated": good[:-4],
        "empty": "wht_",
        "unsigned": forged_from(raw[:40]),
        "without its prefix": good.removeprefix("wht_"),
        "prefixed twice": "wht_" + good,
        "longer": good + "AAAA",
        "with characters that base64 decoders skip": f"{good[:10]}!!..{good[10:]}",
        "with padding": good + "=",
    }
    async with serving_api(database, tenant) as operator:
        accepted = await operator.with_token(good).get("/api/webhooks")
        refused = {
            name: (await operator.with_token(token).get("/api/webhooks")).status
            for name, token in forged.items()
        }

    assert accepted.status == 200
    assert set(refused.values()) == {401}, refused


async def test_objects_of_another_tenant_do_not_exist_for_any_operation(
    app: Application, database: str, receiver: Receiver
) -> None:
    owner, intruder = await app.tenant(), await app.tenant()
    receiver.answer = lambda _: Reply(500)
    async with serving_api(database, owner, delivery={"retry_schedule": []}) as mine:
        webhook = (await mine.create_webhook(receiver.url))["id"]
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
        before = await state(app)
        theirs = mine.with_token(await issued_token(mine, intruder))
        found = {}
        for operation in OPERATIONS:
            if operation.has_id and not operation.operator_only:
                path = path_of(operation, ids)
                body = BODIES.get(operation.operation_id)
                found[operation.operation_id] = (
                    await theirs.call(operation.method, path, body)
                ).status
        replayed = await theirs.post(
            "/api/replays", {"webhookId": webhook, "from": "2020-01-01T00:00:00Z"}
        )
        lists = [
            (await theirs.get(path)).json[member]
            for path, member in (("/api/webhooks", "webhooks"), ("/api/events", "events"))
        ]
        reached = {
            operation.operation_id: (
                await mine.call(
                    operation.method,
                    path_of(operation, ids),
                    BODIES.get(operation.operation_id),
                )
            ).status
            for operation in OPERATIONS
            if operation.has_id and operation.method == "GET"
        }

        assert set(found.values()) == {404}, found
        assert replayed.status == 404
        assert lists == [[], []]
        assert set(reached.values()) == {200}
        assert await state(app) == before


def path_of(operation: Operation, ids: dict[str, str]) -> str:
    """The path of a valid request for one of these objects."""
    path = operation.path.replace("{id}", ids[operation.id_of])
    return f"{path}?eventId={ids['event']}" if operation.operation_id == "explainEvent" else path


async def state(app: Application) -> list[object]:
    """The rows that another tenant could have changed."""
    return [
        await app.db.fetch("SELECT name, is_active, secret_key FROM webhooks"),
        await app.db.fetchval("SELECT count(*) FROM webhook_replays"),
        await app.db.fetch("SELECT status FROM webhook_replays WHERE status = 'cancelled'"),
    ]


def test_the_configuration_hides_the_tokens() -> None:
    config = Config.model_validate({"admin": {"tokens": [OPERATOR]}})

    assert OPERATOR not in repr(config)
