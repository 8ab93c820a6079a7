"""
The ways of people who never saw the product, in a browser, to a delivery and to a failure's cause.

A page that was loaded again would have lost the mark that `marked` leaves in it.
"""

import hashlib
import hmac
import re

import pytest
from playwright.async_api import Page, expect

from tests.support.browser import Pages
from tests.support.console import Console
from tests.support.daemons import until
from tests.support.receiver import Receiver, Reply


async def marked(page: Page) -> None:
    await page.evaluate("window.marked = true")


async def is_marked(page: Page) -> bool:
    return bool(await page.evaluate("window.marked === true"))


async def begin(page: Page, url: str, *, name: str) -> None:
    """Fill in the form of the first webhook."""
    await page.get_by_label("Which URL should get your events?").fill(url)
    await page.get_by_role("button", name="Continue").click()
    await expect(page.get_by_label("URL", exact=True)).to_have_value(url)
    await page.get_by_label("Name", exact=True).fill(name)


async def create(page: Page, url: str, *, name: str) -> str:
    """Create a webhook for all events, from the list that has none; return its secret."""
    await begin(page, url, name=name)
    await page.get_by_role("button", name="Create webhook").click()
    secret = page.get_by_text(re.compile(r"^whsec_\S+$"))
    await expect(secret).to_be_visible()
    return await secret.inner_text()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("javascript", [True, False], ids=["with scripts", "without scripts"])
async def test_a_stranger_creates_a_webhook_tests_it_and_gets_a_signed_delivery(
    pages: Pages, console: Console, receiver: Receiver, *, javascript: bool
) -> None:
    opened = await pages.open(javascript=javascript)
    page = await console.enter_by_link(opened, by_hand=not javascript)
    secret = await create(page, f"{receiver.url}/crm", name="CRM")

    await page.get_by_role("button", name=re.compile("^Send")).first.click()

    await expect(page.get_by_text("The receiver answered 200").first).to_be_visible()
    await until(lambda: receiver.received)
    await console.app.event(console.tenant, {"email_id": "msg_1"})
    await until(lambda: len(receiver.received) == 2)
    for request in receiver.received:
        digest = hmac.new(secret.encode(), request.body, hashlib.sha256).hexdigest()
        assert request.headers["x-penguinmails-signature"] == f"sha256={digest}"
    await page.get_by_role("link", name="Webhooks", exact=True).first.click()
    await page.get_by_role("link", name="CRM", exact=True).first.click()
    await expect(page.get_by_text("email.opened").first).to_be_visible()


@pytest.mark.timeout(120)
async def test_the_cause_of_a_503_is_found_and_a_retry_shows_its_success_in_the_same_document(
    portal_page: Page, console: Console, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(503, body=b"down for maintenance")
    await console.api.create_webhook(f"{receiver.url}/erp", name="Old ERP")
    await console.app.event(console.tenant, {"email_id": "msg_1"})
    await until(lambda: receiver.received)
    page = portal_page
    await page.reload()
    await marked(page)

    await page.get_by_role("link", name="Old ERP").click()
    await page.get_by_role("link", name=re.compile(r"email\.opened")).first.click()
    await page.get_by_role("link", name=re.compile("1 · 503")).click()
    await expect(page.get_by_text("down for maintenance")).to_be_visible()
    await expect(page.get_by_text(re.compile("503")).first).to_be_visible()

    receiver.answer = lambda _: Reply()
    await page.get_by_role("button", name="Retry now").click()

    await expect(page.get_by_text("Delivered.").first).to_be_visible()
    assert await is_marked(page)


@pytest.mark.timeout(120)
async def test_a_new_secret_is_gone_after_a_reload_and_after_going_back(
    portal_page: Page, receiver: Receiver
) -> None:
    page = portal_page
    secret = await create(page, receiver.url, name="CRM")

    await page.reload()
    await expect(page.get_by_text("shown once").first).to_be_visible()
    assert secret not in await page.content()

    await page.get_by_role("link", name="Event types").click()
    await expect(page.get_by_role("heading", name="Event types")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_text("shown once").first).to_be_visible()
    assert secret not in await page.content()


@pytest.mark.timeout(120)
async def test_a_form_is_sent_once_however_often_its_button_is_clicked(
    portal_page: Page, console: Console, receiver: Receiver
) -> None:
    page = portal_page
    await begin(page, receiver.url, name="CRM")

    await page.get_by_role("button", name="Create webhook").click(click_count=3)

    await expect(page.get_by_text(re.compile(r"^whsec_\S+$"))).to_be_visible()
    assert len((await console.api.get("/api/webhooks")).json["webhooks"]) == 1
