"""Portal links: created once, listed without codes, revoked at once, limited in number."""

from uuid import uuid4

import pytest

from daemon.store import portal_links
from tests.support.api_client import serving_api
from tests.support.application import Application

URL = "http://127.0.0.1:9/hook"
PUBLIC = "https://hooks.example.com/webhooks-app"


async def test_a_link_is_shown_once_and_listed_without_its_code(
    app: Application, database: str
) -> None:
    tenant, other = await app.tenant(), await app.tenant()
    webhook = await app.webhook(tenant, URL)
    async with serving_api(database, tenant, admin={"public_url": PUBLIC}) as operator:
        created = await operator.post(
            "/api/portal-links",
            {
                "tenantId": str(tenant),
                "expiresIn": "15m",
                "scope": "read",
                "webhookId": str(webhook),
                "theme": "dark",
            },
        )
        await operator.post("/api/portal-links", {"tenantId": str(other)})
        listed = await operator.get("/api/portal-links")
        of_all = await operator.with_headers(X_Tenant_ID=None).get("/api/portal-links", limit=1)
        rest = await operator.with_headers(X_Tenant_ID=None).get(
            "/api/portal-links", before=of_all.json["next"]
        )
        elsewhere = await operator.as_tenant(other).delete(
            f"/api/portal-links/{created.json['id']}"
        )
        revoked = await operator.delete(f"/api/portal-links/{created.json['id']}")
        again = await operator.delete(f"/api/portal-links/{created.json['id']}")
        left = await operator.get("/api/portal-links")

    assert created.status == 201
    shown = created.json
    url = shown.pop("url")
    code = url.removeprefix(f"{PUBLIC}/console/enter#")
    assert len(code) >= 32
    assert listed.json["links"] == [shown]
    assert code not in listed.text
    assert shown["enteredAt"] is None
    assert [each["tenantId"] for each in of_all.json["links"]] == [str(other)]
    assert rest.json["links"] == [shown]
    assert (elsewhere.status, revoked.status, again.status) == (404, 204, 404)
    assert left.json["links"] == []
    assert code not in str(await app.db.fetch("SELECT * FROM webhook_portal_links"))


async def test_links_are_for_tenants_and_webhooks_that_there_are(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, other = await app.tenant(), await app.tenant()
    theirs = await app.webhook(other, URL)
    monkeypatch.setattr(portal_links, "MAX_VALID", 1)
    async with serving_api(database, tenant) as operator:
        unknown = await operator.post("/api/portal-links", {"tenantId": str(uuid4())})
        foreign = await operator.post(
            "/api/portal-links", {"tenantId": str(tenant), "webhookId": str(theirs)}
        )
        first = await operator.post("/api/portal-links", {"tenantId": str(tenant)})
        too_many = await operator.post("/api/portal-links", {"tenantId": str(tenant)})
        token = await operator.post("/api/tenant-tokens", {"tenantId": str(tenant)})
        mine = operator.with_token(token.json["token"])
        refused = [
            await mine.post("/api/portal-links", {"tenantId": str(tenant)}),
            await mine.get("/api/portal-links"),
            await mine.delete(f"/api/portal-links/{first.json['id']}"),
        ]

    assert (unknown.status, foreign.status) == (404, 404)
    assert (first.status, too_many.status) == (201, 409)
    assert [each.status for each in refused] == [403, 403, 403]
