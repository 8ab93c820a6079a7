"""A tenant's changes in a day are bounded, because each has its record in the audit."""

import asyncio
from typing import Any

from tests.support.api_client import serving_api
from tests.support.application import Application
from tests.support.audit import TOKENS, records, tenant_client
from tests.support.daemons import until
from tests.support.receiver import Receiver, Reply


async def test_a_tenant_may_make_so_many_changes_in_a_day_and_each_has_its_record(
    app: Application, database: str
) -> None:
    tenant, other = await app.tenant(), await app.tenant()
    path = f"/api/webhooks/{await app.webhook(tenant, 'https://a.example.com/')}"
    others = f"/api/webhooks/{await app.webhook(other, 'https://a.example.com/')}"
    limits = {"changes_per_day": 3}
    async with serving_api(database, tenant, admin=TOKENS, limits=limits) as operator:
        clients = [await tenant_client(operator, tenant) for _ in range(2)]
        own = [await clients[n % 2].patch(path, {"name": "x" if n else ""}) for n in range(5)]
        read = await clients[0].get(path)
        unhindered = [
            await (await tenant_client(operator, other)).patch(others, {"name": "y"}),
            await operator.patch(path, {"name": "z"}),
        ]
        await until(lambda: app.db.fetchval("SELECT max(status) = 429 FROM webhook_audit"))
        found = await records(app)

    # The first is invalid: it changed nothing, and counts for nothing.
    assert [each.status for each in own] == [422, 200, 200, 200, 429]
    assert own[-1].error == "this tenant has made as many changes as it may in a day"
    assert 0 < int(own[-1].headers["Retry-After"]) <= 86_400 / 3
    assert read.status == 200
    assert [each.status for each in unhindered] == [200, 200]
    changes = [each for each in found if each["action"] == "updateWebhook"]
    assert sorted(each["status"] for each in changes) == [200] * 5 + [429]


async def test_a_client_that_disconnects_has_made_a_change(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(after=60)
    tenant = await app.tenant()
    path = f"/api/webhooks/{await app.webhook(tenant, receiver.url)}"
    more: dict[str, Any] = {"limits": {"changes_per_day": 1}, "delivery": {"timeout": "30s"}}
    async with serving_api(database, tenant, admin=TOKENS, **more) as operator:
        client = await tenant_client(operator, tenant)
        calling = asyncio.create_task(client.post(f"{path}/test"))
        await until(lambda: receiver.received)
        calling.cancel()
        await until(lambda: app.db.fetchval("SELECT max(status) = 499 FROM webhook_audit"))
        refused = await client.patch(path, {"name": "x"})

    assert refused.status == 429


async def test_without_a_limit_a_tenant_makes_any_number_of_changes(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    path = f"/api/webhooks/{await app.webhook(tenant, 'https://a.example.com/')}"
    limits = {"changes_per_day": 0}
    async with serving_api(database, tenant, admin=TOKENS, limits=limits) as operator:
        client = await tenant_client(operator, tenant)
        answers = [await client.patch(path, {"name": f"{n}"}) for n in range(5)]

    assert {each.status for each in answers} == {200}
