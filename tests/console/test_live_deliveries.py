"""The live list of deliveries: what comes gathers, what is shown changes in its place."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from daemon.admin.console import live_feed
from tests.support.api_client import OPERATOR
from tests.support.application import Application
from tests.support.browser import Pages
from tests.support.console import Console, ConsoleClient, serving_console
from tests.support.daemons import until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver, Reply


@pytest_asyncio.fixture(loop_scope="session")
async def webhook(console: Console, receiver: Receiver) -> UUID:
    return UUID((await console.api.create_webhook(receiver.url, name="CRM"))["id"])


async def deliver(console: Console, webhook: UUID, count: int, status: str = "success") -> None:
    await console.app.events(console.tenant, count)
    await until(lambda: settled(console.app, webhook, status, count))


async def test_new_events_gather_and_nothing_jumps_until_they_are_asked_for(
    console: Console, webhook: UUID, operator_page: Page
) -> None:
    await deliver(console, webhook, 1)
    page = operator_page
    await page.goto(console.page_url(f"/webhooks/{webhook}"))
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    rows = page.locator(".row")
    shown = await rows.first.get_attribute("id")

    await console.app.events(console.tenant, 12)

    new = page.get_by_role("link", name="12 new")
    await expect(new).to_be_visible()
    assert await rows.count() == 1
    assert await rows.first.get_attribute("id") == shown
    await new.click()
    await expect(rows).to_have_count(13)
    await expect(page.locator("#new")).to_be_hidden()
    await console.app.event(console.tenant)
    await expect(page.get_by_role("link", name="1 new")).to_be_visible()


async def test_a_retry_is_shown_in_its_row_and_in_the_inspector_without_a_reload(
    console: Console, webhook: UUID, receiver: Receiver, operator_page: Page
) -> None:
    receiver.answer = lambda _: Reply(503)
    await deliver(console, webhook, 2, "failed")
    receiver.answer = lambda _: Reply(200)
    page = operator_page
    await page.goto(console.page_url(f"/webhooks/{webhook}"))
    rows = page.locator(".row")
    order = [await rows.nth(place).get_attribute("id") for place in range(2)]
    await rows.nth(1).click()
    await expect(page.get_by_text("Not sent yet")).to_be_visible()
    await page.evaluate("document.body.dataset.same = 'yes'")

    await console.api.post(f"/api/webhooks/{webhook}/resume")
    deliveries = (await console.api.get(f"/api/webhooks/{webhook}/deliveries")).json["deliveries"]
    [chosen] = [
        each["id"]
        for each in deliveries
        if f"e-{UUID(each['eventId']).hex}" == order[1] and each["status"] == "pending_retry"
    ]
    await console.api.post(f"/api/deliveries/{chosen}/retry")

    await expect(page.locator("#inspector").get_by_text("Delivered.")).to_be_visible()
    await expect(rows.nth(1).locator(".state.ok")).to_be_visible()
    assert [await rows.nth(place).get_attribute("id") for place in range(2)] == order
    await expect(rows.nth(0).locator(".state.warn")).to_be_visible()
    assert await page.evaluate("document.body.dataset.same") == "yes"
    assert await page.locator("#new").is_hidden()


async def test_only_events_that_the_filters_select_are_new(
    console: Console, webhook: UUID, operator_page: Page
) -> None:
    page = operator_page
    await page.goto(console.page_url(f"/webhooks/{webhook}?type=email.clicked"))
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()

    for name in ("email.opened", "email.clicked", "email.sent"):
        await console.app.event(console.tenant, type=name)

    await page.get_by_role("link", name="1 new").click()
    await expect(page.locator(".row")).to_have_count(1)
    await expect(page.locator(".row")).to_contain_text("email.clicked")


@asynccontextmanager
async def streaming(client: ConsoleClient, path: str) -> AsyncIterator[aiohttp.ClientResponse]:
    async with client._session.get(path) as response:
        yield response


async def rest_of(response: aiohttp.ClientResponse) -> bytes:
    async with asyncio.timeout(30):
        return await response.read()


async def test_a_stream_is_for_those_who_see_the_webhook_and_ends_with_the_session(
    console: Console, webhook: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.admin.console.pages.webhook_live.CHECK_SECONDS", 0.2)
    path = console.path(f"/webhooks/{webhook}/live")
    async with console.client() as nobody, console.portal() as client, console.operator() as other:
        assert (await nobody.get(path)).status == 303
        for below in ("live", "rows"):
            strange = console.path(f"/webhooks/{webhook}/{below}", console.other_tenant)
            assert [(await each.get(strange)).status for each in (client, other)] == [404, 404]
        async with streaming(client, path) as stream, streaming(other, path) as lasting:
            headers = (stream.headers["Content-Type"], stream.headers["X-Accel-Buffering"])
            assert headers == ("text/event-stream", "no")
            await client.post("/console/sign-out")

            assert (await rest_of(stream)).endswith(b"event: end\ndata:\n\n")

            await console.api.delete(f"/api/webhooks/{webhook}")
            assert (await rest_of(lasting)).endswith(b"event: end\ndata:\n\n")


async def test_streams_are_limited_and_leave_other_requests_their_turns(
    console: Console, webhook: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_feed, "MOST_OF_CALLER", 8)
    path = console.path(f"/webhooks/{webhook}/live")
    async with console.portal() as first, console.portal() as second, console.portal() as third:
        streams = [streaming(each, path) for each in (first, second) for _ in range(4)]
        opened = [await each.__aenter__() for each in streams]

        refused = await third.get(path)
        pages = [await each.get(console.path("/webhooks")) for each in (first, third)]
        async with streaming(first, path):
            ended = await rest_of(opened[0])

        assert {each.status for each in opened} == {200}
        assert (refused.status, [each.status for each in pages]) == (429, [200, 200])
        assert ended.endswith(b"event: end\ndata:\n\n")
        for each in streams:
            await each.__aexit__(None, None, None)


async def test_a_caller_with_many_live_lists_gives_one_up_to_another_with_fewer(
    console: Console, webhook: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_feed, "MOST_IN_ALL", 4)
    path = console.path(f"/webhooks/{webhook}/live")
    async with console.portal(scope="read") as reader, console.operator() as operator:
        streams = [streaming(reader, path) for _ in range(4)]
        opened = [await each.__aenter__() for each in streams]

        streams += [streaming(operator, path) for _ in range(2)]
        taken = [await each.__aenter__() for each in streams[4:]]
        ended = [await rest_of(each) for each in opened[:2]]
        beyond = await operator.get(path)

        assert {each.status for each in taken} == {200}
        assert not any(b"event: end" in each for each in ended)  # its page tries again
        assert not opened[2].content.at_eof()
        assert beyond.status == 429
        for each in streams:
            await each.__aexit__(None, None, None)


@pytest.mark.full
async def test_an_open_list_is_live_again_after_a_restart_of_the_daemon(
    database: str, app: Application, receiver: Receiver, pages: Pages
) -> None:
    pages.expected.append("ERR_")
    async with serving_console(database, app, log={"level": "warning"}) as console:
        webhook = UUID((await console.api.create_webhook(receiver.url))["id"])
        page = await console.sign_in(await pages.open())
        await page.goto(console.page_url(f"/webhooks/{webhook}"))
        await expect(page.get_by_text("Live", exact=True)).to_be_visible()
        port = console.service.port
        console.opened.clear()  # the page outlives this daemon
    await expect(page.get_by_text("Live", exact=True)).to_be_hidden()

    admin = {"tokens": [OPERATOR], "port": port}
    async with serving_console(database, app, admin=admin, log={"level": "warning"}):
        await expect(page.get_by_text("Live", exact=True)).to_be_visible()
        await app.event(console.tenant)
        await expect(page.get_by_role("link", name="1 new")).to_be_visible()
