"""The link in a mail leads to a page, which shows nothing private."""

import re

from tests.support.api_client import serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.mailserver import mail_host
from tests.support.notifications import OPS, mail_settings
from tests.support.receiver import Receiver, Reply

PUBLIC = "https://hooks.example.com"


async def test_the_link_in_a_mail_leads_to_a_page_about_the_webhook(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(410)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    with mail_host() as host:
        async with serving_api(
            database, tenant, admin={"public_url": PUBLIC}, notifications=mail_settings(host)
        ) as api:
            await app.event(tenant)
            await until(lambda: host.to(OPS))
            body = host.to(OPS)[0].raw.decode().replace("=\r\n", "")
            [link] = set(re.findall(rf"{PUBLIC}(/[^\s\"<]*)", body))
            anonymous = api.with_headers(Authorization=None, X_Tenant_ID=None)
            page = await anonymous.get(link)
            others = [
                await anonymous.get(each) for each in ("/webhooks/x", "/webhooks/", f"{link}/x")
            ]

    assert link == f"/webhooks/{webhook}"
    assert page.status == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert str(webhook) in page.text
    assert receiver.url not in page.text
    assert "<script" not in page.text
    assert [each.status for each in others] == [404] * 3
