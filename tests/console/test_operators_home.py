"""The operator's pages: tenants with trouble first, what is found across them, and the system."""

import pytest
from playwright.async_api import Page, expect

from tests.support.console import Console
from tests.support.deliveries import insert_delivery

HOSTILE = "<script>alert(1)</script>\u202eevil"
URL = "http://127.0.0.1:9/hook"


async def test_tenants_with_trouble_stand_first_and_open_at_their_webhooks(
    console: Console, operator_page: Page
) -> None:
    trouble = max(console.tenant, console.other_tenant)
    await console.app.db.execute(
        "UPDATE tenants SET name = 'Penguin ' || $2 WHERE id = $1", trouble, HOSTILE
    )
    webhook = await console.app.webhook(trouble, URL)
    await console.app.db.execute(
        "UPDATE webhooks SET is_failing = true, next_probe_at = 'infinity' WHERE id = $1", webhook
    )
    page = operator_page

    await page.goto(f"{console.url}/tenants")
    row = page.locator("tbody tr").first
    await expect(row).to_contain_text("1 failing")
    await expect(row).to_contain_text("Penguin <script>alert(1)</script>\ufffdevil")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")

    await expect(page).to_have_url(console.page_url("/webhooks", trouble))


@pytest.mark.full
async def test_the_search_finds_tenants_webhooks_and_any_id(
    console: Console, plain_operator_page: Page
) -> None:
    """Without scripts too."""
    page, app = plain_operator_page, console.app
    await app.db.execute("UPDATE tenants SET name = 'Acme' WHERE id = $1", console.other_tenant)
    webhook = await app.webhook(console.other_tenant, "https://crm.example.com/acme")
    event = await app.event(console.tenant)
    delivery = await insert_delivery(app, webhook, status="failed", next_retry_at=None)

    async def found(text: str) -> list[str]:
        await page.goto(f"{console.url}/tenants")
        await page.get_by_role("searchbox").fill(text)
        await page.get_by_role("searchbox").press("Enter")
        await page.wait_for_url("**search=**")
        links = await page.locator("a[data-row]").all()
        return [(await each.get_attribute("href") or "") for each in links]

    theirs = console.path("", console.other_tenant)
    assert await found("ACME") == [f"{theirs}/webhooks/{webhook}", f"{theirs}/webhooks"]
    assert await found(str(delivery)) == [f"{theirs}/deliveries/{delivery}"]
    assert await found(f"evt_{event.hex}") == [console.path(f"/events/{event}")]
    assert await found(str(console.tenant)[:13]) == [console.path("/webhooks")]
    assert await found("nobody has this") == []
    await expect(page.get_by_text("Nothing matches nobody has this")).to_be_visible()


async def test_the_system_page_says_first_what_needs_attention(
    console: Console, operator_page: Page
) -> None:
    webhook = await console.app.webhook(console.tenant, "https://down.example.com/")
    await console.app.db.execute(
        "UPDATE webhooks SET is_failing = true, next_probe_at = 'infinity' WHERE id = $1", webhook
    )
    page = operator_page

    await page.goto(f"{console.url}/system")

    await expect(page.get_by_text("Ready", exact=True)).to_be_visible()
    await expect(page.get_by_role("alert")).to_have_count(0)
    await expect(page.get_by_text("No mail server is configured")).to_be_visible()
    await page.get_by_role("link", name="down.example.com").click()
    await expect(page.get_by_role("link", name="a webhook")).to_be_visible()
