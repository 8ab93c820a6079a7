"""Narrow windows: navigation and tabs that are wider than the page show where one is."""

from playwright.async_api import Page, expect

from tests.support.browser import Pages
from tests.support.console import Console

IN_VIEW = """
(bar) => {
  const current = bar.querySelector("[aria-current]").getBoundingClientRect();
  return current.left >= 0 && current.right <= innerWidth;
}
"""


async def is_shown(page: Page, bar: str) -> bool:
    return bool(await page.locator(bar).evaluate(IN_VIEW))


async def test_the_current_page_and_tab_are_in_view_at_once_and_after_a_click(
    pages: Pages, console: Console
) -> None:
    webhook = (await console.api.create_webhook("https://hooks.example.com", name="CRM"))["id"]
    page = await console.enter(await pages.open(width=360))
    await page.goto(console.page_url(f"/webhooks/{webhook}/receive"))
    assert await is_shown(page, ".tabs")

    await page.get_by_role("link", name="Changes").click()

    await expect(page.get_by_role("heading", name="Changes")).to_be_visible()
    await expect(page.locator(".side [aria-current]")).to_be_in_viewport(ratio=1)
