"""Looking at deliveries one after the other: the list stays as it is, the inspector beside it."""

from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from daemon.admin.console.page import PageRequest
from tests.support.browser import Pages
from tests.support.console import Console
from tests.support.daemons import until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver, Reply

MANY = 40
HEIGHT = 58  # of a row


@pytest_asyncio.fixture(loop_scope="session")
async def webhook(console: Console, receiver: Receiver) -> UUID:
    return UUID((await console.api.create_webhook(receiver.url, name="CRM"))["id"])


async def top_of(row: Locator) -> float:
    box = await row.bounding_box()
    assert box is not None
    return box["y"]


async def test_choosing_a_delivery_leaves_the_list_and_what_is_new_as_they_are(
    console: Console, webhook: UUID, operator_page: Page
) -> None:
    page = operator_page
    await console.app.events(console.tenant, MANY)
    await until(lambda: settled(console.app, webhook, "success", MANY))
    await page.goto(console.page_url(f"/webhooks/{webhook}"))
    await console.app.events(console.tenant, 3)
    await expect(page.get_by_role("link", name="3 new")).to_be_visible()
    await page.locator(".row").first.click()
    await expect(page.locator(".row").first).to_have_attribute("aria-current", "true")
    assert await page.evaluate("scrollY") == 0
    last = page.locator(".row").last
    await last.scroll_into_view_if_needed()
    before = await top_of(last)

    await last.click()

    inspector = page.locator("#inspector")
    await expect(inspector.get_by_text("Delivered.")).to_be_visible()
    await expect(inspector.get_by_text("Delivered.")).to_be_in_viewport()
    await expect(last).to_have_attribute("aria-current", "true")
    assert abs(await top_of(last) - before) < HEIGHT
    assert await page.locator(".row").count() == MANY
    await expect(page.get_by_role("link", name="3 new")).to_be_visible()
    assert "delivery=" in page.url

    await page.locator(".row").nth(MANY - 2).click()

    await expect(page.locator(".row[aria-current]")).to_have_count(1)
    await expect(last).not_to_have_attribute("aria-current", "true")
    await page.go_back()
    await expect(last).to_have_attribute("aria-current", "true")


async def test_in_a_narrow_window_what_was_chosen_comes_into_view(
    console: Console, webhook: UUID, pages: Pages
) -> None:
    await console.app.events(console.tenant, MANY)
    await until(lambda: settled(console.app, webhook, "success", MANY))
    page = await console.sign_in(await pages.open(width=360))
    await page.goto(console.page_url(f"/webhooks/{webhook}"))

    await page.locator(".row").last.click()

    await expect(page.locator("#inspector h2").first).to_be_in_viewport()


async def test_the_state_above_the_list_follows_a_retry(
    console: Console, webhook: UUID, receiver: Receiver, operator_page: Page
) -> None:
    receiver.answer = lambda _: Reply(503)
    await console.app.event(console.tenant)
    await until(lambda: settled(console.app, webhook, "failed", 1))
    page = operator_page
    await page.goto(console.page_url(f"/webhooks/{webhook}"))
    await expect(page.get_by_text("Nothing has been delivered yet")).to_be_visible()
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    receiver.answer = lambda _: Reply(200)
    await page.locator(".row").click()

    await page.get_by_role("button", name="Retry now").click()

    await expect(page.locator("#overview")).to_contain_text("The last delivery succeeded")
    await expect(page.locator("#overview")).not_to_contain_text("in a row")


async def test_the_state_above_the_list_is_read_after_the_list(
    console: Console, webhook: UUID, operator_page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result that is stored between the two is then shown by both, or comes live."""
    asked: list[str] = []
    answer = PageRequest.api

    async def noted(request: PageRequest, operation: str, *args: Any, **options: Any) -> Any:
        asked.append(operation)
        return await answer(request, operation, *args, **options)

    monkeypatch.setattr(PageRequest, "api", noted)
    await operator_page.goto(console.page_url(f"/webhooks/{webhook}"))

    assert asked.index("listWebhookDeliveries") < asked.index("retrieveWebhook")


async def test_failed_deliveries_are_one_click_away_and_a_retry_keeps_the_filter(
    console: Console, webhook: UUID, receiver: Receiver, operator_page: Page
) -> None:
    receiver.answer = lambda request: Reply(503 if request.event["type"] == "email.opened" else 200)
    for kind in ("email.clicked", "email.opened"):
        await console.app.event(console.tenant, type=kind)
    await until(lambda: settled(console.app, webhook, "failed", 1))
    await until(lambda: settled(console.app, webhook, "success", 1))
    page = operator_page
    await page.goto(console.page_url(f"/webhooks/{webhook}"))

    await page.locator("#overview").get_by_role("link", name="1", exact=True).click()

    rows = page.locator(".row")
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("email.opened")
    chips = page.get_by_role("navigation", name="Deliveries by status")
    await expect(chips.get_by_role("link", name="Failed")).to_have_attribute("aria-current", "true")
    receiver.answer = lambda _: Reply(200)
    await rows.click()
    await page.get_by_role("button", name="Retry now").click()
    await expect(page.locator("#inspector").get_by_text("Delivered.")).to_be_visible()
    await expect(rows).to_have_count(1)
    assert "status=failed" in page.url

    await page.get_by_label("Attempts").get_by_role("link").first.click()

    await expect(page.locator("#inspector")).to_contain_text("Attempt 2 delivered it")
    await expect(page.get_by_role("button", name="Send again")).to_be_visible()
    await expect(page.get_by_role("button", name="Disable webhook")).to_have_count(0)
