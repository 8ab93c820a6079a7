"""
Clicks on what is updated between the press of the mouse's button and its release.

Browsers drop a click on an element that was removed meanwhile: updates keep what is on the page.
"""

from uuid import UUID

from playwright.async_api import Locator, Page, expect

from tests.support.console import Console
from tests.support.daemons import until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver, Reply

UPDATED = """
() => new Promise((done) => document.addEventListener("htmx:after:swap", done, { once: true }))
"""


async def press(page: Page, target: Locator) -> None:
    """Press the mouse's button above the middle of an element."""
    box = await target.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    await page.mouse.down()


async def test_a_replay_is_cancelled_by_a_click_across_an_update_and_its_button_keeps_the_focus(
    console: Console, receiver: Receiver, portal_page: Page
) -> None:
    webhook = (await console.api.create_webhook(receiver.url, isActive=False))["id"]
    await console.app.events(console.tenant, 2)
    begun = {"webhookId": webhook, "from": "2020-01-01T00:00:00Z"}
    replay = (await console.api.post("/api/replays", begun)).json["id"]
    page = portal_page
    await page.goto(console.page_url(f"/replays/{replay}"))
    cancel = page.get_by_role("button", name="Cancel")

    await cancel.focus()
    await page.evaluate(UPDATED)
    await expect(cancel).to_be_focused()
    await press(page, cancel)
    await page.evaluate(UPDATED)
    await page.mouse.up()

    await expect(page.get_by_text("Cancelled").first).to_be_visible()


async def test_a_row_of_the_live_list_opens_by_a_click_across_its_change(
    console: Console, receiver: Receiver, portal_page: Page
) -> None:
    receiver.answer = lambda _: Reply(503)
    webhook = UUID((await console.api.create_webhook(receiver.url, name="CRM"))["id"])
    await console.app.event(console.tenant)
    await until(lambda: settled(console.app, webhook, "failed", 1))
    receiver.answer = lambda _: Reply()
    page = portal_page
    await page.goto(console.page_url(f"/webhooks/{webhook}"))
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    deliveries = (await console.api.get(f"/api/webhooks/{webhook}/deliveries")).json["deliveries"]

    await press(page, page.locator(".row .clip").first)
    await console.api.post(f"/api/deliveries/{deliveries[0]['id']}/retry")
    await expect(page.locator(".row .state.ok")).to_be_visible()
    await page.mouse.up()

    await expect(page.locator("#inspector").get_by_text("Delivered.")).to_be_visible()
