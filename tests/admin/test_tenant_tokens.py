"""Tenant tokens: scopes, the list of valid ones, revocation, and the limit."""

from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from daemon.store import tenant_tokens
from tests.admin.test_access import token_for
from tests.support.api_client import OPERATOR, ApiClient, operator_client, serving_api
from tests.support.application import Application
from tests.support.daemons import serving

READER = "reader-" * 4
TOKENS = {
    "tokens": [
        {"name": "ops", "token": OPERATOR},
        {"name": "reports", "token": READER, "scope": "read"},
    ]
}
URL = "http://127.0.0.1:9/hook"


async def created(operator: ApiClient, tenant: UUID, **more: object) -> Any:
    answer = await operator.post("/api/tenant-tokens", {"tenantId": str(tenant), **more})
    assert answer.status == 201, answer
    return answer.json


async def test_a_token_of_scope_read_reads_and_changes_nothing(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    async with serving_api(database, tenant, admin=TOKENS) as operator:
        webhook = (await operator.create_webhook(URL))["id"]
        token = await created(operator, tenant, scope="read")
        for reader in (
            operator.with_token(token["token"]),
            operator.with_headers(Authorization=f"Bearer {READER}"),
        ):
            read = await reader.get(f"/api/webhooks/{webhook}")
            listed = await reader.get("/api/audit")
            replay = {"webhookId": webhook, "from": "2020-01-01T00:00:00Z"}
            dry = await reader.post("/api/replays", {**replay, "dryRun": True})
            refused = [
                await reader.post("/api/replays", replay),
                await reader.post("/api/webhooks", {"name": "x", "endpointUrl": URL}),
                await reader.patch(f"/api/webhooks/{webhook}", {"name": "x"}),
                await reader.delete(f"/api/webhooks/{webhook}"),
                await reader.post(f"/api/webhooks/{webhook}/test"),
                await reader.post(f"/api/webhooks/{webhook}/rotate-secret"),
                await reader.post("/api/tenant-tokens", {"tenantId": str(tenant)}),
                await reader.delete(f"/api/tenant-tokens/{token['id']}"),
            ]

            assert (read.status, listed.status, dry.status) == (200, 200, 200)
            assert {each.status for each in refused} == {403}
            assert {each.headers["Content-Type"] for each in refused} == {
                "application/problem+json"
            }
            assert all("the token's scope is read" in each.error for each in refused)

    assert token["scope"] == "read"
    assert await app.db.fetchval("SELECT name FROM webhooks") == "a webhook"
    assert await app.db.fetchval("SELECT count(*) FROM webhook_replays") == 0
    assert await app.db.fetchval("SELECT count(*) FROM webhook_tenant_tokens") == 1


async def test_whoever_knows_a_reading_operator_token_cannot_sign_tenant_tokens(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    forged = await token_for(app, tenant, operator=READER)
    async with serving_api(database, tenant, admin=TOKENS) as operator:
        answer = await operator.with_token(forged).get("/api/webhooks")

    assert answer.status == 401


async def test_valid_tokens_are_listed_without_the_tokens_themselves(
    app: Application, database: str
) -> None:
    one, other = await app.tenant(), await app.tenant()
    async with serving_api(database, one, admin=TOKENS) as operator:
        first = await created(operator, one)
        second = await created(operator, other, scope="read", expiresIn="15m")
        third = await created(operator, one)
        await app.db.execute(
            "UPDATE webhook_tenant_tokens SET expires_at = now() WHERE id = $1", third["id"]
        )
        everywhere = operator.with_headers(X_Tenant_ID=None)
        all_tokens = await everywhere.get("/api/tenant-tokens")
        mine = await operator.get("/api/tenant-tokens")
        page = await everywhere.get("/api/tenant-tokens", limit=1)
        following = await everywhere.get("/api/tenant-tokens", before=page.json["next"])
        by_id = await everywhere.get("/api/tenant-tokens", before=second["id"])

    assert [each["id"] for each in all_tokens.json["tokens"]] == [second["id"], first["id"]]
    assert [each["id"] for each in mine.json["tokens"]] == [first["id"]]
    assert [each["id"] for each in page.json["tokens"]] == [second["id"]]
    assert following.json == by_id.json
    assert [each["id"] for each in following.json["tokens"]] == [first["id"]]
    shown = all_tokens.json["tokens"][0]
    assert {name: shown[name] for name in ("tenantId", "scope", "createdBy", "expiresAt")} == {
        "tenantId": str(other),
        "scope": "read",
        "createdBy": "ops",
        "expiresAt": second["expiresAt"],
    }
    assert second["token"] not in all_tokens.text


async def test_a_revoked_token_is_refused_at_once_by_every_daemon(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    async with (
        serving(database, admin=TOKENS) as here,
        serving(database, admin=TOKENS) as there,
        operator_client(here, tenant) as operator,
        operator_client(there, tenant) as elsewhere,
    ):
        token = await created(operator, tenant)
        kept = await created(operator, tenant)
        clients = [each.with_token(token["token"]) for each in (operator, elsewhere)]
        before = [(await each.get("/api/webhooks")).status for each in clients]
        revoked = await operator.delete(f"/api/tenant-tokens/{token['id']}")
        after = [(await each.get("/api/webhooks")).status for each in clients]
        other = (await elsewhere.with_token(kept["token"]).get("/api/webhooks")).status
        again = await operator.delete(f"/api/tenant-tokens/{token['id']}")

    assert before == [200, 200]
    assert revoked.status == 204
    assert after == [401, 401]
    assert other == 200
    assert (again.status, again.error) == (404, "there is no valid token with this id")


async def test_an_operator_that_names_a_tenant_revokes_no_token_of_another(
    app: Application, database: str
) -> None:
    mine, other = await app.tenant(), await app.tenant()
    async with serving_api(database, mine, admin=TOKENS) as operator:
        token = await created(operator, mine)
        path = f"/api/tenant-tokens/{token['id']}"
        misnamed = await operator.as_tenant(other).delete(path)
        unknown = await operator.delete(f"/api/tenant-tokens/{uuid4()}")
        own = await operator.with_token(token["token"]).delete(path)
        listing = await operator.with_token(token["token"]).get("/api/tenant-tokens")
        working = await operator.with_token(token["token"]).get("/api/webhooks")

    assert (misnamed.status, unknown.status, own.status, listing.status) == (404, 404, 403, 403)
    assert working.status == 200


async def test_a_tenant_has_a_bounded_number_of_valid_tokens(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenant_tokens, "MAX_VALID", 3)
    tenant, other = await app.tenant(), await app.tenant()
    async with serving_api(database, tenant, admin=TOKENS) as operator:
        tokens = [await created(operator, tenant) for _ in range(3)]
        refused = await operator.post("/api/tenant-tokens", {"tenantId": str(tenant)})
        await created(operator, other)
        await operator.delete(f"/api/tenant-tokens/{tokens[0]['id']}")
        await created(operator, tenant)
        await app.db.execute(
            "UPDATE webhook_tenant_tokens SET expires_at = now() WHERE id = $1", tokens[1]["id"]
        )
        await created(operator, tenant)

    assert refused.status == 409
    assert "the tenant has 3 valid tokens" in refused.error


async def test_a_thousand_tokens_of_one_tenant_are_valid_at_once(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    await app.db.execute(
        "INSERT INTO webhook_tenant_tokens (id, tenant_id, scope, created_by, expires_at)"
        " SELECT gen_random_uuid(), $1, 'full', 'ops', now() + interval '1 h'"
        "   FROM generate_series(1, 999)",
        tenant,
    )
    async with serving_api(database, tenant, admin=TOKENS) as operator:
        token = await created(operator, tenant)
        answer = await operator.with_token(token["token"]).get("/api/webhooks")
        one_more = await operator.post("/api/tenant-tokens", {"tenantId": str(tenant)})

    assert (answer.status, one_more.status) == (200, 409)


@pytest.mark.parametrize("scope", ["write", "", None, 1])
async def test_an_unknown_scope_is_refused(app: Application, database: str, scope: object) -> None:
    tenant = await app.tenant()
    async with serving_api(database, tenant) as operator:
        answer = await operator.post(
            "/api/tenant-tokens", {"tenantId": str(tenant), "scope": scope}
        )

    assert (answer.status, answer.pointers) == (422, ["#/scope"])


async def test_tokens_named_in_tables_give_access(app: Application, database: str) -> None:
    tenant = await app.tenant()
    async with (
        serving(database, admin=TOKENS) as service,
        aiohttp.ClientSession(f"http://127.0.0.1:{service.port}") as session,
    ):
        found = [
            (
                await ApiClient(
                    session, {"Authorization": f"Bearer {token}", "X-Tenant-ID": str(tenant)}
                ).get("/api/webhooks")
            ).status
            for token in (OPERATOR, READER, "reports", "ops")
        ]

    assert found == [200, 200, 401, 401]
