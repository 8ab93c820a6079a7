"""Shared access: an operator creates a link, somebody enters by it, and it is revoked."""

from typing import Any

from playwright.async_api import Page, expect

from tests.support.browser import Pages
from tests.support.console import Console, ConsoleClient


async def shared(page: Page, console: Console, **chosen: str) -> str:
    """Create a link for the first tenant on its page, and return it."""
    await page.goto(console.page_url("/webhooks"))
    await page.get_by_role("link", name="Share access", exact=True).click()
    for label, value in chosen.items():
        await page.get_by_label(label.replace("_", " ")).select_option(label=value)
    await page.get_by_role("button", name="Create link").click()
    await expect(page.get_by_role("heading", name="The link is ready")).to_be_visible()
    return await page.locator("#link").inner_text()


async def test_operators_see_by_its_name_whose_tenant_they_share(
    console: Console, operator_page: Page
) -> None:
    page = operator_page
    await page.goto(console.page_url("/links"))
    beginning = f"{str(console.tenant)[:8]}…"
    await expect(page.locator(".side h2").first).to_have_text(beginning)
    hostile = "Acme <b>\u202e"
    await console.app.db.execute(
        "UPDATE tenants SET name = $2 WHERE id = $1", console.other_tenant, hostile
    )
    await console.api.as_tenant(console.other_tenant).post(
        "/api/portal-links", {"tenantId": str(console.other_tenant)}
    )

    await page.goto(console.page_url("/links", console.other_tenant))

    for place in (".side h2", ".crumb"):
        await expect(page.locator(place).first).to_contain_text("Acme <b>")
    await page.get_by_role("link", name="Access links").click()
    await expect(page.locator("tbody tr").first).to_contain_text("Acme <b>")
    await page.goto(f"{console.url}/audit")
    await expect(page.locator("tbody tr").first).to_contain_text("Acme <b>")


async def test_a_link_lets_its_people_look_until_it_is_revoked(
    console: Console, pages: Pages
) -> None:
    """With scripts and without."""
    webhook = await console.app.webhook(console.tenant, "http://127.0.0.1:9/hook")
    for javascript in (True, False):
        operator = await console.sign_in(await pages.open(javascript=javascript))
        link = await shared(
            operator,
            console,
            Access="read only",
            Opens_at="a webhook",
            Colours="dark",
        )
        people = await pages.open(javascript=javascript)
        await people.goto(link)
        if not javascript:
            await people.get_by_role("textbox").fill(link)
            await people.get_by_role("button", name="Open").click()

        await people.wait_for_url(f"**/webhooks/{webhook}*")
        await expect(people.locator("html")).to_have_attribute("data-theme", "dark")
        await expect(people.get_by_text("read only")).to_be_visible()
        await expect(people.get_by_role("link", name="Share access")).to_have_count(0)
        await operator.goto(console.page_url("/links"))
        await expect(operator.locator("tbody tr")).to_contain_text("ago")
        await operator.get_by_role("button", name="Revoke").click()
        await expect(operator.get_by_text("There is no valid link.")).to_be_visible()
        await people.reload()
        await expect(people.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_a_link_is_shown_once_and_a_form_sent_twice_creates_one(console: Console) -> None:
    async with console.operator() as client:
        path = console.path("/links")
        page = await client.get(path)
        fields = {"scope": "read", "expiresIn": "15m", "once": _once(page.text)}
        first = await client.post(path, fields)
        again = await client.post(path, fields)
        shown = await client.get(first.location)
        reloaded = await client.get(first.location)
        listed = await console.api.get("/api/portal-links")

    assert (first.status, first.location) == (303, again.location)
    assert "/console/enter#" in shown.text
    assert "/console/enter#" not in reloaded.text
    assert "It was shown once" in reloaded.shown
    [link] = listed.json["links"]
    assert (link["scope"], link["tenantId"]) == ("read", str(console.tenant))


async def test_what_is_wrong_stands_beside_its_field_and_the_input_is_kept(
    console: Console,
) -> None:
    async with console.operator() as client:
        wrong: list[Any] = []
        for tenant in ("00000000-0000-4000-8000-000000000000", "no id"):
            page = await client.get("/console/links")
            fields = {"tenantId": tenant, "scope": "full", "once": _once(page.text)}
            wrong.append(await client.post("/console/links", fields))

    assert [each.status for each in wrong] == [422, 422]
    assert 'id="tenantId-error"' in wrong[0].text
    assert "there is no tenant with this id" in wrong[0].shown
    assert 'value="no id"' in wrong[1].text
    assert 'id="tenantId-error"' in wrong[1].text


async def test_people_cannot_share_what_was_shared_with_them(console: Console) -> None:
    async with console.portal() as client:
        await _refused(client, console.path("/links"))
        await _refused(client, "/console/links")


async def _refused(client: ConsoleClient, path: str) -> None:
    assert (await client.get(path)).status == 404
    assert (await client.post(path, {"once": "a" * 32, "scope": "full"})).status == 404


def _once(text: str) -> str:
    return text.partition('name="once" value="')[2].partition('"')[0]
