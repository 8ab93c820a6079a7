"""Links that name an object alone, as mails do, lead to its page, after signing in if need be."""

import re

from playwright.async_api import expect

from tests.support.application import Application
from tests.support.browser import Pages
from tests.support.console import Console, serving_console
from tests.support.daemons import until
from tests.support.deliveries import insert_delivery
from tests.support.mailserver import mail_host
from tests.support.notifications import OPS, mail_settings
from tests.support.receiver import Receiver, Reply, receiving

LINK = '<a id="link" href="{}">the webhook</a>'


async def test_the_link_in_a_mail_leads_to_the_webhook_after_signing_in(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(410)
    with mail_host() as host:
        async with serving_console(
            database,
            app,
            admin={"public_url": "https://hooks.example.com/app"},
            notifications=mail_settings(host),
        ) as console:
            webhook = await app.webhook(console.other_tenant, receiver.url)
            await app.event(console.other_tenant)
            await until(lambda: host.to(OPS))
            body = host.to(OPS)[0].raw.decode().replace("=\r\n", "")
            [link] = set(re.findall(r"https://hooks.example.com/app(/[^\s\"<]*)", body))
            async with console.client() as client:
                found = await client.get(link)

    assert link == f"/webhooks/{webhook}"
    assert (found.status, found.location) == (303, f"/app/console/webhooks/{webhook}")


async def test_an_operator_comes_to_the_tenant_that_has_the_object_and_others_to_their_own(
    console: Console,
) -> None:
    app = console.app
    webhook = await app.webhook(console.other_tenant, "http://127.0.0.1:9/")
    event = await app.event(console.other_tenant)
    delivery = await insert_delivery(app, webhook, status="failed", next_retry_at=None)
    own = await app.webhook(console.tenant, "http://127.0.0.1:9/")
    below = [f"/webhooks/{webhook}", f"/events/{event}", f"/deliveries/{delivery}"]

    async with console.operator() as operator, console.portal() as portal, console.client() as new:
        to_operator = [await operator.get(f"/console{each}") for each in below]
        wrong_kind = await operator.get(f"/console/webhooks/{event}")
        to_portal = [await portal.get(f"/console{each}") for each in below]
        to_own = await portal.get(f"/console/webhooks/{own}")
        signed_out = await new.get(f"/console/webhooks/{webhook}")

    theirs = console.path("", console.other_tenant)
    assert [each.location for each in to_operator] == [f"{theirs}{each}" for each in below]
    assert wrong_kind.status == 404
    assert [each.status for each in to_portal] == [404, 404, 404]
    assert to_own.location == console.path(f"/webhooks/{own}")
    assert signed_out.location == f"/console/sign-in?next=/webhooks/{webhook}"


async def test_a_link_on_another_site_opens_for_whoever_is_signed_in(
    console: Console, pages: Pages
) -> None:
    """Browsers do not send the session's cookie with such a request."""
    webhook = await console.app.webhook(console.tenant, "http://127.0.0.1:9/")
    link = f"{console.origin}/webhooks/{webhook}"
    html = LINK.format(link).encode()
    async with receiving() as site:
        site.answer = lambda _: Reply(200, headers={"Content-Type": "text/html"}, body=html)
        for javascript in (True, False):
            page = await console.sign_in(await pages.open(javascript=javascript))
            await page.goto(site.url.replace("127.0.0.1", "localhost"))

            await page.locator("#link").click()

            await expect(page).to_have_url(console.page_url(f"/webhooks/{webhook}"))
