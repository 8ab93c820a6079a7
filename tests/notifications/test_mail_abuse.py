"""Neither a tenant's token nor a crowd of failing webhooks floods a mailbox."""

from uuid import UUID

import pytest

from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.mailserver import mail_host
from tests.support.notifications import OPS, all_sent, at_rest, end_windows, mail_settings
from tests.support.receiver import Receiver, Reply

STRANGER = "victim@elsewhere.example"
WEBHOOKS = 37


async def token_of(api: ApiClient, tenant: UUID) -> ApiClient:
    """A client with a token of the tenant's own."""
    issued = await api.post("/api/tenant-tokens", {"tenantId": str(tenant)})
    return api.with_token(issued.json["token"])


async def paused_count(app: Application) -> int:
    count: int = await app.db.fetchval("SELECT count(*) FROM webhooks WHERE NOT is_active")
    return count


async def test_a_tenant_s_token_cannot_mail_an_address_that_nobody_confirmed(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(410)
    tenant = await app.tenant()
    with mail_host() as host:
        async with serving_api(
            database,
            tenant,
            admin={"public_url": "https://hooks.example.com"},
            notifications=mail_settings(host),
        ) as operator:
            api = await token_of(operator, tenant)
            for number in range(WEBHOOKS):
                name = f"Your account is blocked: see http://evil.example/{number}"
                await api.create_webhook(receiver.url, name=name, notificationEmail=STRANGER)
            await app.event(tenant)
            await until(lambda: paused_count_is(app, WEBHOOKS))
            await until(lambda: at_rest(app))
            await until(lambda: host.to(STRANGER))

    assert [mail.subject for mail in host.to(STRANGER)] == ["Confirm your address"]
    assert "evil" not in host.to(STRANGER)[0].raw.decode()
    assert 1 <= len(host.to(OPS)) <= 2


async def paused_count_is(app: Application, count: int) -> bool:
    return await paused_count(app) == count


@pytest.mark.full
async def test_three_hundred_webhooks_that_fail_together_are_at_most_two_mails(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(410)
    tenant = await app.tenant()
    for number in range(300):
        await app.webhook(tenant, f"{receiver.url}/{number}")
    with mail_host() as host:
        async with serving_api(database, tenant, notifications=mail_settings(host)):
            await app.event(tenant)
            await until(lambda: paused_count_is(app, 300))
            await until(lambda: at_rest(app))
            await end_windows(app)
            await until(lambda: all_sent(app))

    assert 1 <= len(host.mails) <= 2
