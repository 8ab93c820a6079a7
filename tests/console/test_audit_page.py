"""The audit's pages: who did what, by filters in the URL, page by page."""

from playwright.async_api import Page, expect

from tests.support.console import Console

URL = "http://127.0.0.1:9/hook"


async def test_an_operator_filters_all_records_and_opens_the_object(
    console: Console, operator_page: Page
) -> None:
    first = await console.api.create_webhook(URL)
    await console.api.as_tenant(console.other_tenant).create_webhook(URL)
    await console.api.post(f"/api/webhooks/{first['id']}/pause")
    page = operator_page

    await page.goto(f"{console.url}/audit")
    await expect(page.locator("tbody tr")).to_have_count(3)
    await page.get_by_label("Action").select_option(label="paused a webhook")
    await page.get_by_role("button", name="Show").click()
    await expect(page.locator("tbody tr")).to_have_count(1)

    assert "action=pauseWebhook" in page.url
    await page.get_by_role("link", name=first["id"]).click()
    await expect(page).to_have_url(console.page_url(f"/webhooks/{first['id']}"))


async def test_a_tenants_people_see_their_own_records_without_addresses(console: Console) -> None:
    mine = await console.api.create_webhook(URL)
    theirs = await console.api.as_tenant(console.other_tenant).create_webhook(URL)
    async with console.portal() as client:
        page = await client.get(console.path("/audit"))
        by_object = await client.get(console.path("/audit"), object=theirs["id"])
        wrong = await client.get(console.path("/audit"), object="no id", **{"from": "never"})

    assert mine["id"] in page.text
    assert theirs["id"] not in page.text
    assert "127.0.0.1" not in page.shown
    assert "Nothing matches." in by_object.shown
    assert wrong.status == 422
    assert 'id="objectId-error"' in wrong.text
    assert 'id="from-error"' in wrong.text
    assert 'value="no id"' in wrong.text


async def test_older_records_are_on_the_next_page_with_the_same_filter(console: Console) -> None:
    await console.app.db.execute(
        "INSERT INTO webhook_audit (tenant_id, actor_kind, actor, action, at)"
        " SELECT $1, 'operator', 'ops', 'updateWebhook', now() - n * interval '1 s'"
        " FROM generate_series(1, 60) AS n",
        console.tenant,
    )
    async with console.operator() as client:
        first = await client.get(console.path("/audit"), action="updateWebhook")
        following = first.text.rpartition('class="btn" href="')[2].partition('"')[0]
        second = await client.get(following.replace("&amp;", "&"))

    assert first.text.count("changed a webhook</td>") + first.text.count("<tr><td") >= 50
    assert second.text.count("<tr><td") == 10
    assert "action=updateWebhook" in following
