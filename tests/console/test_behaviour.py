"""How pages behave: while the database is away, by keyboard, and when buttons are clicked twice."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from playwright.async_api import Page, expect

from tests.support.browser import Pages
from tests.support.console import Console
from tests.support.daemons import until


@asynccontextmanager
async def without_database(postgres_url: str, database: str) -> AsyncIterator[None]:
    """Only the test's own connection reaches the database within the block."""
    name = database.rpartition("/")[2]
    admin = await asyncpg.connect(postgres_url)
    try:
        await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = $1 AND application_name LIKE 'webhookd%'",
            name,
        )
        yield
    finally:
        await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        await admin.close()


async def filled_form(page: Page, console: Console) -> None:
    await page.goto(console.page_url("/webhooks/new"))
    await page.get_by_label("Name", exact=True).fill("CRM")
    await page.get_by_label("URL", exact=True).fill("https://hooks.example.com/crm")


async def names(console: Console) -> list[str]:
    listed = await console.api.get("/api/webhooks")
    return [each["name"] for each in listed.json["webhooks"]] if listed.status == 200 else []


async def test_a_page_stays_with_what_was_typed_until_the_database_is_back(
    pages: Pages, operator_page: Page, console: Console, postgres_url: str, database: str
) -> None:
    pages.expected.append("503")
    await filled_form(operator_page, console)
    create = operator_page.get_by_role("button", name="Create webhook")
    banner = operator_page.locator("#away")
    async with without_database(postgres_url, database):
        await create.click()

        await expect(banner).to_be_visible()
        await expect(banner).to_contain_text("The database is away. Since ")
        await expect(operator_page.get_by_label("Name", exact=True)).to_have_value("CRM")
    await expect(banner).to_be_hidden()
    await create.click()
    await expect(operator_page.locator("#secret")).to_be_visible()
    assert await names(console) == ["CRM"]


async def test_without_scripts_a_form_is_kept_and_tried_again(
    pages: Pages, plain_operator_page: Page, console: Console, postgres_url: str, database: str
) -> None:
    pages.expected.append("503")
    page = plain_operator_page
    await filled_form(page, console)
    async with without_database(postgres_url, database):
        await page.get_by_role("button", name="Create webhook").click()

        await expect(page.get_by_role("heading", name="The database is away.")).to_be_visible()
        await expect(page.get_by_role("alert")).to_contain_text("What you typed is kept")

    async def is_back() -> bool:
        return (await console.api.get("/api/webhooks")).status == 200

    await until(is_back)
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator("#secret")).to_be_visible()
    assert await names(console) == ["CRM"]


async def test_the_keyboard_reaches_search_rows_and_help(
    operator_page: Page, console: Console
) -> None:
    for name in ("Apples", "Berries"):
        await console.api.create_webhook("https://hooks.example.com/", name=name)
    page = operator_page
    await page.goto(console.page_url("/webhooks"))

    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.keyboard.press("/")
    await expect(page.locator("input[type=search]")).to_be_focused()
    await page.keyboard.press("Escape")
    await page.locator("h1").click()
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await expect(page.get_by_role("link", name="Berries")).to_be_focused()
    await page.keyboard.press("k")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Apples", level=1)).to_be_visible()
    await page.keyboard.press("t")
    await page.wait_for_url("**/test")


async def test_the_focus_goes_on_with_the_content_of_the_next_page(
    operator_page: Page, console: Console
) -> None:
    webhook = (await console.api.create_webhook("https://hooks.example.com/", name="CRM"))["id"]
    page = operator_page
    await page.goto(console.page_url("/webhooks"))

    await page.keyboard.press("n")
    await expect(page.get_by_label("Name", exact=True)).to_be_focused()
    await page.goto(console.page_url(f"/webhooks/{webhook}"))
    await page.keyboard.press("t")
    await expect(page.get_by_role("button", name="Send test", exact=True)).to_be_visible()
    await page.goto(console.page_url("/links"))
    await page.get_by_role("button", name="Create link").press("Enter")
    await expect(page.get_by_role("heading", name="The link is ready")).to_be_visible()
    await expect(page.locator("main")).to_be_focused()
    for name in ("Share access", "Copy"):
        await page.keyboard.press("Tab")
        await expect(page.locator("main").get_by_text(name, exact=True)).to_be_focused()


@pytest.mark.parametrize("javascript", [True, False])
async def test_a_button_that_is_clicked_twice_acts_once(
    pages: Pages, console: Console, *, javascript: bool
) -> None:
    page = await console.sign_in(await pages.open(javascript=javascript))
    await filled_form(page, console)

    await page.get_by_role("button", name="Create webhook").dblclick()

    await expect(page.get_by_role("heading", name="Signing secret").first).to_be_visible()
    assert await names(console) == ["CRM"]
