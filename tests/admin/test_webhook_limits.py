"""How many webhooks a tenant may have over the API, in all and at one host."""

import asyncio
from collections import Counter
from uuid import UUID

import pytest

from daemon.admin.resources import webhook_limits
from daemon.store import webhook_limits as stored_limits
from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.deliveries import settled
from tests.support.postgres import most_rows_read
from tests.support.receiver import Receiver


def url(host: str, number: int = 0) -> str:
    return f"http://{host}:9/{number}"


async def insert(app: Application, tenant: UUID, host: str, count: int) -> list[UUID]:
    return [await app.webhook(tenant, url(host, n)) for n in range(count)]


async def create(api: ApiClient, to: str) -> int:
    return (await api.post("/api/webhooks", {"name": "one more", "endpointUrl": to})).status


async def test_the_api_creates_no_more_webhooks_than_the_limit_of_a_tenant(
    app: Application, database: str
) -> None:
    tenant, other = await app.tenant(), await app.tenant()
    await insert(app, tenant, "127.0.0.1", 3)
    limits = {"webhooks_per_tenant": 4}
    async with serving_api(database, tenant, limits=limits) as api:
        last = await create(api, url("127.0.0.1"))
        refused = await api.post("/api/webhooks", {"name": "x", "endpointUrl": url("127.0.0.1")})
        others = await create(api.as_tenant(other), url("127.0.0.1"))

    assert (last, refused.status, others) == (201, 409, 201)
    assert refused.error == "this tenant has 4 webhooks, and at most 4 are allowed"
    assert (refused.json["limit"], refused.json["count"]) == (4, 4)


async def test_the_api_does_not_replace_webhooks_without_end(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_limits, "MOST_DELETED", 3)
    tenant, other = await app.tenant(), await app.tenant()
    old = await insert(app, tenant, "127.0.0.1", 3)
    async with serving_api(database, tenant, limits={"webhooks_per_tenant": 0}) as api:
        for each in old[:2]:
            await api.delete(f"/api/webhooks/{each}")
        before = await create(api, url("127.0.0.1"))
        await api.delete(f"/api/webhooks/{old[2]}")
        refused = await api.post("/api/webhooks", {"name": "x", "endpointUrl": url("127.0.0.1")})
        others = await create(api.as_tenant(other), url("127.0.0.1"))
        await app.db.execute("UPDATE webhook_history SET until = until - INTERVAL '1 hour'")
        later = await create(api, url("127.0.0.1"))

    assert (before, refused.status, others, later) == (201, 429, 201, 201)
    assert refused.error.startswith("3 webhooks of this tenant were deleted within an hour")
    assert refused.headers["Retry-After"] == "600"


SAME_HOSTS = [
    ("127.0.0.1", "http://127.0.0.1:10/other"),
    ("hooks.example.com", "https://HOOKS.example.com/x"),
    ("HOOKS.example.com.", "https://hooks.example.com:8443/"),
    ("bücher.example", "https://xn--bcher-kva.example/"),
    ("xn--bcher-kva.example", "https://bücher.example/"),
    ("[2606:2800:220:1::1]", "https://[2606:2800:220:1::1]/"),
]


@pytest.mark.parametrize(("stored", "created"), SAME_HOSTS)
async def test_the_api_creates_no_more_webhooks_than_the_limit_of_a_host(
    app: Application, database: str, stored: str, created: str
) -> None:
    tenant = await app.tenant()
    await insert(app, tenant, stored, 2)
    limits = {"webhooks_per_host": 2}
    async with serving_api(database, tenant, limits=limits) as api:
        refused = await api.post("/api/webhooks", {"name": "x", "endpointUrl": created})
        elsewhere = await create(api, "https://elsewhere.example.com/")

    assert (refused.status, elsewhere) == (409, 201)
    assert "this tenant has 2 webhooks, and at most 2 are allowed" in refused.error
    assert (refused.json["limit"], refused.json["count"]) == (2, 2)


async def test_a_webhook_is_not_moved_to_a_host_that_has_as_many_as_it_may(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    await insert(app, tenant, "127.0.0.1", 2)
    [webhook] = await insert(app, tenant, "127.0.0.2", 1)
    path = f"/api/webhooks/{webhook}"
    async with serving_api(database, tenant, limits={"webhooks_per_host": 2}) as api:
        moved = await api.patch(path, {"endpointUrl": url("127.0.0.1")})
        unmoved = await api.get(path)
        elsewhere = await api.patch(path, {"endpointUrl": url("127.0.0.3")})

    assert (moved.status, elsewhere.status) == (409, 200)
    assert moved.json["count"] == 2
    assert unmoved.json["endpointUrl"] == url("127.0.0.2")


async def test_webhooks_beyond_the_limits_are_served_and_can_be_changed(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhooks = [await app.webhook(tenant, f"{receiver.url}/{n}") for n in range(5)]
    limits = {"webhooks_per_tenant": 2, "webhooks_per_host": 2}
    async with serving_api(database, tenant, limits=limits) as api:
        await app.event(tenant)
        for webhook in webhooks:
            await until(lambda webhook=webhook: settled(app, webhook, "success", 1))
        renamed = await api.patch(f"/api/webhooks/{webhooks[0]}", {"name": "another"})
        same_host = await api.patch(
            f"/api/webhooks/{webhooks[0]}", {"endpointUrl": receiver.url + "/moved"}
        )

    assert (renamed.status, same_host.status) == (200, 200)


async def test_zero_is_no_limit(app: Application, database: str) -> None:
    tenant = await app.tenant()
    await app.db.execute(
        "INSERT INTO webhooks (tenant_id, name, endpoint_url, secret_key)"
        " SELECT $1, 'x', 'https://a.example.com/', 'whsec_' FROM generate_series(1, 600)",
        tenant,
    )
    limits = {"webhooks_per_tenant": 0, "webhooks_per_host": 0}
    async with serving_api(database, tenant, limits=limits) as api:
        assert await create(api, "https://a.example.com/") == 201


async def test_webhooks_created_at_the_same_time_do_not_exceed_a_limit(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    async with serving_api(database, tenant, limits={"webhooks_per_tenant": 5}) as api:
        created = await asyncio.gather(*(create(api, url(f"127.0.0.{n}")) for n in range(1, 21)))

    assert Counter(created) == {201: 5, 409: 15}


async def test_webhooks_moved_at_the_same_time_do_not_exceed_a_limit(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    webhooks = [await app.webhook(tenant, url(f"127.0.0.{n}")) for n in range(10, 20)]
    async with serving_api(database, tenant, limits={"webhooks_per_host": 3}) as api:
        change = {"endpointUrl": url("127.0.0.1")}
        moved = await asyncio.gather(
            *(api.patch(f"/api/webhooks/{each}", change) for each in webhooks)
        )

    assert Counter(each.status for each in moved) == {200: 3, 409: 7}


async def test_a_bounded_number_of_webhooks_is_counted(app: Application) -> None:
    tenant = await app.tenant()
    await insert(app, tenant, "127.0.0.1", 20)
    at_host = (stored_limits.COUNT_AT_HOST, tenant, ["127.0.0.1"], 5)
    of_tenant = (stored_limits.COUNT_OF_TENANT, tenant, 5)

    assert await app.db.fetchval(*at_host) == await app.db.fetchval(*of_tenant) == 5
    assert await most_rows_read(app.db, *at_host) <= 5
    assert await most_rows_read(app.db, *of_tenant) <= 5
