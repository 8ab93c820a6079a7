"""A daemon that asks the owners of addresses, their mails, and the page that they open."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from tests.support.api_client import Answer, ApiClient, serving_api
from tests.support.daemons import until
from tests.support.mailserver import Mail, MailHost
from tests.support.notifications import mail_settings

OWNER = "Owner@customer.example"
URL = "http://127.0.0.1:9/hook"
PUBLIC = "https://hooks.example.com/below"
PAGE = "/confirm-email"


@asynccontextmanager
async def confirming(
    database: str, tenant: UUID, host: MailHost, **notifications: Any
) -> AsyncIterator[ApiClient]:
    """A daemon that mails, and a client of its API."""
    async with serving_api(
        database,
        tenant,
        admin={"public_url": PUBLIC},
        notifications=mail_settings(host, **notifications),
    ) as api:
        yield api


async def mailed(host: MailHost, address: str = OWNER, *, count: int = 1) -> Mail:
    """The latest of the confirmation mails to this address, once there are `count`."""
    await until(lambda: len(host.to(address.lower())) >= count)
    return host.to(address.lower())[-1]


def code_in(mail: Mail) -> str:
    """The code after the # of the mail's link."""
    [link] = set(re.findall(r"\S+#\S+", mail.body("plain")))
    page, _, code = str(link).partition("#")
    assert page == f"{PUBLIC}{PAGE}"
    return code


async def submit(api: ApiClient, code: str, **headers: str) -> Answer:
    """Press the button of the page, as a browser does."""
    browser = api.with_headers(Authorization=None, X_Tenant_ID=None, **headers)
    return await browser.call("POST", PAGE, data={"code": code})


async def is_confirmed(api: ApiClient, webhook: Any) -> bool:
    found = (await api.get(f"/api/webhooks/{webhook['id']}")).json
    confirmed: bool = found["notificationEmailConfirmed"]
    assert confirmed != any("has not confirmed" in each for each in found["warnings"])
    return confirmed
