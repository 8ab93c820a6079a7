"""
From the home page to the cause of what did not arrive, by links alone, and on until it arrives.
"""

import asyncio
import re

import pytest
from playwright.async_api import Page, expect

from tests.support.certificates import Authority
from tests.support.console import Console
from tests.support.daemons import until
from tests.support.receiver import Receiver, Reply, receiving

VIP = {"filters": {"contact.tags": ["vip"]}}
NOT_VIP = {"contact": {"tags": ["lead"]}}


async def open_webhook(page: Page, name: str) -> None:
    """Go to the home page, and from there to the webhook."""
    await page.get_by_role("link", name="Webhooks", exact=True).first.click()
    await page.get_by_role("link", name=name, exact=True).click()


async def open_failed_attempt(page: Page) -> None:
    """Choose the only event of a webhook, and then its attempt that failed."""
    await page.get_by_role("link", name=re.compile(r"email\.opened")).click()
    await page.get_by_role("link", name=re.compile("1 · no answer")).click()


async def save_settings(page: Page) -> None:
    """Save the settings, and go back to the deliveries."""
    await page.get_by_role("button", name="Save changes").click()
    await expect(page.get_by_text("Saved.")).to_be_visible()


async def retry_event(page: Page) -> None:
    """Attempt the only event of the webhook again."""
    await page.get_by_role("link", name="Deliveries", exact=True).click()
    await open_failed_attempt(page)
    await page.get_by_role("button", name="Retry now").click()
    await expect(page.get_by_text("Delivered.").first).to_be_visible()


@pytest.mark.timeout(60)
async def test_a_timeout_is_found_and_a_longer_one_delivers(
    portal_page: Page, console: Console, receiver: Receiver
) -> None:
    page, is_quick = portal_page, asyncio.Event()
    receiver.answer = lambda _: Reply(when=is_quick)
    made = await console.api.create_webhook(f"{receiver.url}/erp", name="ERP", timeout="1s")
    await console.app.event(console.tenant)
    await until(lambda: _has_failed(console, made["id"]))

    await open_webhook(page, "ERP")
    cause = page.get_by_text("Last error: no complete response within 1 s")
    await expect(cause).to_be_visible()

    await page.get_by_role("link", name="Settings").click()
    await page.get_by_text("Delivery: timeout").click()
    await page.get_by_label("Timeout of an attempt").select_option("30 s")
    await save_settings(page)
    is_quick.set()
    await retry_event(page)


@pytest.mark.timeout(60)
async def test_a_certificate_that_is_not_valid_is_found_and_the_right_url_delivers(
    portal_page: Page, console: Console, receiver: Receiver
) -> None:
    page = portal_page
    async with receiving(tls=Authority().server("127.0.0.1", self_signed=True)) as untrusted:
        made = await console.api.create_webhook(f"{untrusted.url}/erp", name="ERP")
        await console.app.event(console.tenant)
        await until(lambda: _has_failed(console, made["id"]))

        await open_webhook(page, "ERP")
        cause = page.get_by_text("Last error: the TLS certificate is not valid")
        await expect(cause).to_be_visible()

        await page.get_by_role("link", name="Settings").click()
        await page.get_by_label("URL", exact=True).fill(f"{receiver.url}/erp")
        await save_settings(page)
        await retry_event(page)

    assert untrusted.received == []


@pytest.mark.timeout(60)
async def test_a_filter_that_does_not_match_is_found_changed_and_what_it_held_back_is_sent(
    portal_page: Page, console: Console, receiver: Receiver
) -> None:
    page = portal_page
    await console.api.create_webhook(f"{receiver.url}/all", name="All")
    await console.api.create_webhook(f"{receiver.url}/vip", name="VIP", eventFilters=VIP)
    await console.app.event(console.tenant, NOT_VIP)
    await until(lambda: receiver.at("/all"))

    await page.get_by_role("link", name="Events", exact=True).click()
    await page.get_by_role("link", name="email.opened", exact=True).click()
    row = page.get_by_role("row").filter(has_text="VIP")
    await expect(row.get_by_text("Filtered", exact=True)).to_be_visible()
    await row.get_by_role("link", name="why?").click()
    await expect(page.get_by_text("contact.tags").first).to_be_visible()
    await expect(page.get_by_text('"lead"').first).to_be_visible()

    await page.get_by_role("link", name="Change its events and filters").click()
    await page.get_by_label("One of these values, condition 1").fill("vip, lead")
    await save_settings(page)
    await page.get_by_role("link", name="Undelivered").click()
    await page.get_by_role("link", name="Replay these").click()
    await page.get_by_role("button", name="Send the one undelivered").click()
    await expect(page.get_by_text("Completed").first).to_be_visible()

    assert len(receiver.at("/vip")) == 1
    assert len(receiver.at("/all")) == 1


@pytest.mark.timeout(60)
async def test_a_pause_is_found_ended_and_what_came_in_meanwhile_is_sent(
    portal_page: Page, console: Console, receiver: Receiver
) -> None:
    page = portal_page
    receiver.answer = lambda request: Reply(503 if request.path == "/crm" else 200)
    await console.api.create_webhook(f"{receiver.url}/all", name="All")
    made = await console.api.create_webhook(f"{receiver.url}/crm", name="CRM")
    await console.app.event(console.tenant)
    await until(lambda: receiver.at("/crm"))
    await until(lambda: _has_failed(console, made["id"]))
    await console.api.post(f"/api/webhooks/{made['id']}/pause")
    receiver.answer = lambda _: Reply()
    missed = [await console.app.event(console.tenant) for _ in range(2)]
    await until(lambda: len(receiver.at("/all")) == 3)

    await page.get_by_role("link", name="Webhooks", exact=True).first.click()
    await expect(page.get_by_text("Paused by a person")).to_be_visible()
    await open_webhook(page, "CRM")
    await expect(page.get_by_text("retry #1 when resumed")).to_be_visible()
    await page.get_by_role("button", name="Resume").click()
    await expect(page.get_by_text("Resumed.")).to_be_visible()
    await page.get_by_role("link", name="Replay what it missed").click()
    await expect(page.get_by_label("Time ranges").locator("[aria-current]")).to_have_text(
        "While it was paused"
    )
    await page.get_by_role("button", name="Send the 2 undelivered").click()
    await expect(page.get_by_text("Completed").first).to_be_visible()

    sent = [each.event["id"] for each in receiver.at("/crm")[1:]]
    assert sorted(sent) == sorted(f"evt_{each.hex}" for each in missed)


async def _has_failed(console: Console, webhook_id: str) -> bool:
    path = f"/api/webhooks/{webhook_id}/deliveries"
    return bool((await console.api.get(path, status="failed")).json["deliveries"])
