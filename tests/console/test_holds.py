"""An operator holds and releases by a page that asks first; every page says what is held."""

from uuid import UUID

from playwright.async_api import Page, expect

from tests.support.console import Console
from tests.support.deliveries import insert_delivery

URL = "https://example.com/hook"


async def test_an_operator_holds_a_tenant_and_everything_and_releases_them_without_scripts(
    console: Console, plain_operator_page: Page
) -> None:
    page, banner = plain_operator_page, plain_operator_page.locator(".held")
    await page.goto(f"{console.url}/t/{console.tenant}/webhooks")
    await page.get_by_role("link", name="Hold tenant").click()
    await page.get_by_label("Reason").fill("their bill")
    await page.get_by_role("button", name="Hold this tenant").click()
    await expect(banner).to_contain_text("This tenant is held.")
    await expect(banner).to_contain_text("by token-1: their bill")
    await page.goto(f"{console.url}/tenants")
    await expect(banner).to_contain_text("1 tenant is held.")
    await page.get_by_role("link", name="Hold deliveries").click()
    await page.get_by_role("button", name="Hold everything").click()
    await expect(banner).to_contain_text("Everything is held.")
    await page.goto(f"{console.url}/system")
    await banner.get_by_role("link", name="Release").click()
    await page.get_by_role("button", name="Release everything").click()
    await expect(banner).to_contain_text("1 tenant is held.")
    await banner.get_by_role("link").click()
    await page.get_by_role("button", name="Release this tenant").click()
    await expect(banner).to_have_count(0)

    actions = await console.app.db.fetch("SELECT action, reason FROM webhook_audit ORDER BY at")
    assert [tuple(each) for each in actions] == [
        ("holdDeliveries", "their bill"),
        ("holdDeliveries", None),
        ("releaseDeliveries", None),
        ("releaseDeliveries", None),
    ]


async def test_a_tenants_people_see_that_they_are_held_but_not_by_whom_or_why(
    console: Console,
) -> None:
    webhook = UUID((await console.api.create_webhook(URL))["id"])
    await console.api.post("/api/hold", {"reason": "their bill"})
    waiting = await insert_delivery(console.app, webhook)
    await console.api.as_tenant(console.other_tenant).post("/api/hold", {"reason": "other"})
    async with console.portal() as client:
        page = await client.get(console.path("/webhooks"))
        events = await client.get(console.path("/events"))
        inspector = await client.get(console.path(f"/webhooks/{webhook}"), delivery=str(waiting))
        asked = await client.get(console.path("/hold"))
        released = await client.post(console.path("/release"))

    assert "Not sent yet. Deliveries have been on hold since" in inspector.shown
    for each in (page, events, inspector):
        assert "Deliveries are on hold. Nothing has been sent since" in each.shown
        assert "their bill" not in each.text
        assert "token-1" not in each.text
        assert "/hold" not in each.text
    assert (asked.status, released.status) == (404, 404)
    assert await console.app.db.fetchval("SELECT count(*) FROM webhook_holds") == 2
