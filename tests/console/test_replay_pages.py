"""Replays in the console: counted first, sent once, and watched until they are done."""

import asyncio
import re
from datetime import UTC, datetime
from uuid import UUID

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.support.api_client import OPERATOR
from tests.support.application import Application
from tests.support.browser import Pages
from tests.support.console import Console, serving_console
from tests.support.daemons import until
from tests.support.deliveries import inbox_is_empty, settled
from tests.support.html_forms import form_of
from tests.support.receiver import Receiver, Reply


@pytest_asyncio.fixture(loop_scope="session")
async def webhook(console: Console, receiver: Receiver) -> UUID:
    return UUID((await console.api.create_webhook(receiver.url, name="CRM"))["id"])


def ids_of(receiver: Receiver) -> list[str]:
    return [each.headers["webhook-id"] for each in receiver.received]


async def paused_for(console: Console, webhook: UUID, receiver: Receiver, events: int) -> set[str]:
    """Deliver an event, pause for some, and deliver another; returns what came in meanwhile."""
    await console.app.event(console.tenant)
    await until(lambda: settled(console.app, webhook, "success", 1))
    await console.api.post(f"/api/webhooks/{webhook}/pause")
    missed = {f"evt_{each.hex}" for each in await console.app.events(console.tenant, events)}
    await until(lambda: inbox_is_empty(console.app))
    await console.api.post(f"/api/webhooks/{webhook}/resume")
    await console.app.event(console.tenant)
    await until(lambda: settled(console.app, webhook, "success", 2))
    return missed


async def test_while_it_was_paused_recovers_exactly_the_events_of_the_pause(
    console: Console, webhook: UUID, receiver: Receiver, portal_page: Page
) -> None:
    missed = await paused_for(console, webhook, receiver, 7)
    page = portal_page
    await page.goto(console.page_url(f"/webhooks/{webhook}/replays"))

    await page.get_by_role("link", name="While it was paused").click()
    await expect(page.locator("#counted")).to_contain_text("Found 7 matching events")
    await page.get_by_role("button", name="Send the 7 undelivered").dblclick()

    await expect(page.get_by_text("7 of 7 sent")).to_be_visible()
    await expect(page.get_by_text("Completed")).to_be_visible()
    assert set(ids_of(receiver)[2:]) == missed
    assert len(receiver.received) == 9
    assert len((await console.api.get("/api/replays")).json["replays"]) == 1


async def test_what_was_delivered_before_is_counted_and_left_out_or_sent_too(
    console: Console, webhook: UUID, receiver: Receiver, plain_portal_page: Page
) -> None:
    missed = await paused_for(console, webhook, receiver, 3)
    page = plain_portal_page
    await page.goto(console.page_url(f"/webhooks/{webhook}/replays"))

    await page.get_by_role("link", name="Last 24 hours").click()
    await expect(page.locator("#counted")).to_have_text(
        re.compile("Found 5 matching events, 2 delivered before")
    )
    await expect(page.get_by_role("button", name="Send all 5")).to_be_visible()
    await page.get_by_role("button", name="Send the 3 undelivered").click()

    await expect(page.get_by_text("Completed")).to_be_visible()
    assert set(ids_of(receiver)[2:]) == missed
    await page.goto(console.page_url(f"/webhooks/{webhook}/replays"))
    await page.get_by_role("link", name="Last 24 hours").click()
    await page.get_by_role("button", name="Send all 5").click()
    await expect(page.get_by_text("5 of 5 sent")).to_be_visible()
    assert len(receiver.received) == 2 + 3 + 5


@pytest.mark.full
async def test_a_replay_moves_in_two_tabs_and_goes_on_after_a_restart(
    database: str, app: Application, receiver: Receiver, pages: Pages
) -> None:
    pages.expected += ["ERR_", "Failed to fetch"]  # while the daemon is away
    go_on = asyncio.Event()
    async with serving_console(database, app, log={"level": "warning"}) as console:
        webhook = (await console.api.create_webhook(receiver.url, isActive=False))["id"]
        await app.events(console.tenant, 40)
        await until(lambda: inbox_is_empty(app))
        body = {"webhookId": webhook, "from": "2020-01-01T00:00:00Z"}
        replay = (await console.api.post("/api/replays", body)).json["id"]
        first = await console.sign_in(await pages.open())
        second = await first.context.new_page()
        for page in (first, second):
            await page.goto(console.page_url(f"/replays/{replay}"))
            await expect(page.get_by_text("The webhook is paused")).to_be_visible()
        answered: list[bool] = []

        def answer(_: object) -> Reply:
            answered.append(True)
            return Reply() if len(answered) <= 3 else Reply(when=go_on)

        receiver.answer = answer
        await console.api.post(f"/api/webhooks/{webhook}/resume")
        for page in (first, second):
            await expect(page.locator("#progress")).to_contain_text(re.compile("[1-9]+ of 40 sent"))
        port = console.service.port
        console.opened.clear()  # the pages outlive this daemon
        go_on.set()
    admin = {"tokens": [OPERATOR], "port": port}
    async with serving_console(database, app, admin=admin, log={"level": "warning"}):
        for page in (first, second):
            await expect(page.get_by_text("40 of 40 sent")).to_be_visible()
            await expect(page.get_by_text("Completed")).to_be_visible()
        assert await first.locator("#progress").get_attribute("hx-trigger") is None
        await first.reload()
        await expect(first.get_by_text("40 of 40 sent")).to_be_visible()


@pytest.mark.full
async def test_what_a_replay_could_not_deliver_is_retried_from_its_page(
    database: str, app: Application, receiver: Receiver, pages: Pages
) -> None:
    delivery = {"retry_schedule": [], "failing_backoff": "0s"}
    async with serving_console(database, app, delivery=delivery) as console:
        webhook = (await console.api.create_webhook(receiver.url, isActive=False))["id"]
        await app.events(console.tenant, 6)
        await until(lambda: inbox_is_empty(app))
        await console.api.post(f"/api/webhooks/{webhook}/resume")
        receiver.answer = lambda _: Reply(503)
        body = {"webhookId": webhook, "from": "2020-01-01T00:00:00Z"}
        replay = (await console.api.post("/api/replays", body)).json["id"]
        page = await console.sign_in(await pages.open())
        await page.goto(console.page_url(f"/replays/{replay}"))
        retry = page.get_by_role("button", name="Retry failed")
        await expect(retry).to_be_visible()  # once it is completed, without a reload
        receiver.answer = lambda _: Reply()

        await retry.click()

        await expect(page.get_by_text("6 of 6 sent")).to_be_visible()
        await expect(page.locator(".figures .ok")).to_have_text("6")
        assert replay not in page.url
        await page.goto(console.page_url(f"/webhooks/{webhook}/retry-failed"))
        await page.get_by_role("button", name="Retry failed").click()
        await expect(page.get_by_role("alert")).to_contain_text("is exhausted")


async def test_a_replay_of_a_paused_webhook_can_be_cancelled_and_the_same_is_found_again(
    console: Console, webhook: UUID
) -> None:
    await console.api.post(f"/api/webhooks/{webhook}/pause")
    await console.app.events(console.tenant, 4)
    await until(lambda: inbox_is_empty(console.app))
    path = console.path(f"/webhooks/{webhook}/replays")
    until_now = datetime.now(UTC).isoformat()
    async with console.portal() as client:
        counted = await client.get(path, **{"from": "2020-01-01T00:00", "to": until_now})
        form = form_of(counted.text, "/replays") | {"onlyUndelivered": "on"}

        begun = await client.post(path, form)
        again = await client.get(path, **{"from": "2020-01-01T00:00", "to": until_now})
        same = await client.post(path, form_of(again.text, "/replays") | {"onlyUndelivered": "on"})
        cancelled = await client.post(f"{begun.location}/cancel")
        shown = await client.get(cancelled.location)
        listed = await client.get(console.path("/replays"))

    assert "Found 4 matching events" in counted.shown
    assert same.location == f"{begun.location}?done=same"
    assert "Cancelled" in shown.shown
    assert "0 of 4 sent" in listed.shown


async def test_a_wrong_time_is_said_beside_its_field_and_the_input_is_kept(
    console: Console, webhook: UUID
) -> None:
    path = console.path(f"/webhooks/{webhook}/replays")
    async with console.portal(scope="read") as client:
        fields = {"from": "2030-01-01T00:00", "types": "email.* email.opened", "to": ""}
        later = await client.get(path, **fields)
        unknown = await client.get(path, **{"from": "yesterday"})
        never_paused = await client.get(path, range="pause")

    assert (later.status, unknown.status) == (422, 422)
    assert never_paused.status == 200
    assert 'id="from-error"' in later.text
    assert 'value="email.* email.opened"' in later.text
    assert 'id="from-error"' in unknown.text
