"""The list of webhooks, and how one is doing."""

from uuid import UUID

from playwright.async_api import Page, expect

from tests.support.console import Console
from tests.support.daemons import until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver, Reply


def names_in(text: str, names: list[str]) -> list[str]:
    return sorted((name for name in names if name in text), key=text.index)


async def test_a_click_anywhere_in_a_row_opens_it(console: Console, operator_page: Page) -> None:
    webhook = await console.api.create_webhook("https://hooks.example.com/", name="CRM")
    page = operator_page
    await page.goto(console.page_url("/webhooks"))

    # The link covers what is clicked.
    await page.get_by_text("https://hooks.example.com/").click(force=True)

    await expect(page).to_have_url(console.page_url(f"/webhooks/{webhook['id']}"))


async def test_what_fails_stands_first_and_chips_search_and_pages_select(
    console: Console, operator_page: Page
) -> None:
    names = ["Alpha", "Beta", "Gamma", "Delta"]
    for name in names:
        await console.api.create_webhook(f"https://{name.lower()}.example.com/hook", name=name)
    update = "UPDATE webhooks SET {} WHERE name = $1"
    await console.app.db.execute(update.format("is_failing = true"), "Gamma")
    await console.app.db.execute(
        update.format("is_active = false, paused_reason = 'gone'"), "Delta"
    )
    page = operator_page
    await page.goto(console.page_url("/webhooks"))

    table = page.get_by_role("table")
    assert names_in(await table.inner_text(), names) == ["Gamma", "Delta", "Alpha", "Beta"]
    await expect(table).to_contain_text("the receiver answered 410 Gone")
    await page.keyboard.press("/")
    await expect(page.locator("input[type=search]")).to_be_focused()
    await page.keyboard.type("beta.exam")
    await page.keyboard.press("Enter")
    await expect(table.locator("tbody tr")).to_have_count(1)
    assert page.url.endswith("?search=beta.exam")
    await page.get_by_role("link", name="Failing", exact=True).click()
    await expect(page.get_by_text("No webhook matches.")).to_be_visible()
    await page.get_by_role("link", name="Show all").click()
    await expect(table.locator("tbody tr")).to_have_count(4)
    await page.get_by_role("link", name="Paused", exact=True).click()
    await expect(table.locator("tbody tr")).to_have_count(1)
    await expect(table).to_contain_text("Delta")


async def test_an_empty_list_asks_for_a_url_which_the_new_webhooks_form_has(
    console: Console, portal_page: Page, reader_page: Page
) -> None:
    page = portal_page
    await page.goto(console.page_url("/webhooks"))

    await expect(page.get_by_placeholder("https://")).to_be_focused()
    await page.keyboard.type("https://hooks.example.com/crm")
    await page.keyboard.press("Enter")

    await expect(page.locator("[name=endpointUrl]")).to_have_value("https://hooks.example.com/crm")
    await reader_page.goto(console.page_url("/webhooks"))
    await expect(reader_page.get_by_text("No webhooks yet.")).to_be_visible()


async def test_a_page_has_fifty_webhooks_and_leads_to_the_others(console: Console) -> None:
    await console.app.db.execute(
        "INSERT INTO webhooks (id, tenant_id, name, endpoint_url, secret_key)"
        " SELECT gen_random_uuid(), $1, 'hook ' || lpad(n::text, 3, '0'), 'https://a.example/',"
        "        'whsec_x' FROM generate_series(1, 60) AS n",
        console.tenant,
    )
    async with console.portal() as client:
        first = await client.get(console.path("/webhooks"))
        following = first.text.partition('">Next page')[0].rpartition('href="')[2]
        second = await client.get(following)

    found = [f"hook {number:03}" for number in range(1, 61)]
    assert names_in(first.shown, found) == found[:50]
    assert names_in(second.shown, found) == found[50:]


async def test_a_failing_webhook_says_so_and_is_probed_and_a_paused_one_is_resumed(
    console: Console, receiver: Receiver, operator_page: Page
) -> None:
    receiver.answer = lambda _: Reply(503)
    webhook = UUID((await console.api.create_webhook(receiver.url, name="CRM"))["id"])
    await console.app.events(console.tenant, 12)

    async def is_failing() -> bool:
        return bool((await console.app.health(webhook))["is_failing"])

    await until(is_failing)
    page = operator_page
    await page.goto(console.page_url(f"/webhooks/{webhook}"))
    overview = page.get_by_role("region", name="How it is doing")
    await expect(overview).to_contain_text("failures in a row")
    await expect(overview).to_contain_text("Last error: the receiver answered 503")
    await expect(overview.get_by_role("link", name="See this attempt")).to_be_visible()
    await expect(overview).to_contain_text("5xx answers")
    await expect(overview).to_contain_text("0 %")
    receiver.answer = lambda _: Reply()

    await overview.get_by_role("button", name="Attempt now").click()

    await expect(page.locator("#inspector").get_by_text("Delivered.")).to_be_visible()
    await until(lambda: settled(console.app, webhook, "success", 1))
    await console.api.post(f"/api/webhooks/{webhook}/pause")
    await page.goto(console.page_url(f"/webhooks/{webhook}?range=week"))
    await expect(overview).to_contain_text("Paused by a person")
    await page.get_by_role("button", name="Resume").click()
    await expect(overview).to_contain_text("Resumed.")
