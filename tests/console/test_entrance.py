"""The console's entrance, in a browser: signing in, entering by a link, and signing out."""

from playwright.async_api import expect

from tests.support.browser import Pages
from tests.support.console import Console


async def test_an_operator_signs_in_and_out_with_and_without_scripts(
    pages: Pages, console: Console
) -> None:
    for javascript in (True, False):
        page = await console.sign_in_by_form(await pages.open(javascript=javascript))
        await page.goto(console.page_url("/webhooks"))
        await expect(page.get_by_role("heading", name="Webhooks", exact=True)).to_be_visible()

        await page.get_by_role("button", name="Sign out").click()

        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        await page.goto(console.page_url("/webhooks"))
        await expect(page.get_by_label("Operator token")).to_be_visible()


async def test_a_wrong_token_is_refused_beside_the_field(pages: Pages, console: Console) -> None:
    page = await pages.open()
    await page.goto(f"{console.url}/sign-in")
    await page.get_by_label("Operator token").fill("wrong-wrong-wrong-wrong-wrong")

    await page.get_by_role("button", name="Sign in").click()

    await expect(page.get_by_role("alert")).to_have_text("This is not the token of an operator.")
    await expect(page.get_by_label("Operator token")).to_have_attribute("aria-invalid", "true")


async def test_a_link_opens_the_console_and_its_code_leaves_the_address(
    pages: Pages, console: Console
) -> None:
    page = await console.enter_by_link(await pages.open())
    assert page.url == console.page_url("/webhooks")

    await page.go_back()

    assert "#" not in page.url


async def test_without_scripts_the_link_is_pasted(pages: Pages, console: Console) -> None:
    page = await console.enter_by_link(await pages.open(javascript=False), by_hand=True)

    assert page.url == console.page_url("/webhooks")
