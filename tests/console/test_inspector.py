"""The request inspector: everything of an attempt, small and harmless whatever was exchanged."""

import gzip
import random
import re
from html import unescape
from string import ascii_letters
from typing import Any
from uuid import UUID

import pytest
from playwright.async_api import Page, expect

from tests.support.browser import Pages
from tests.support.console import Console, ConsoleClient, Found
from tests.support.console_scene import HOSTILE
from tests.support.daemons import until
from tests.support.deliveries import insert_delivery, settled
from tests.support.hostile import hostile, responding_with
from tests.support.html_forms import form_of
from tests.support.receiver import Receiver, Reply

MOST_BYTES = 50 * 1024  # of the 60 of a page; the scripts and the style sheet take the others
FIVE_MEGABYTES = 5 * 1024 * 1024


async def deliver(console: Console, url: str, data: Any, *, status: str = "failed") -> str:
    """Send an event to a new webhook; the path of its page, the attempt selected."""
    webhook = await console.api.create_webhook(url, name="Inspected")
    await console.app.event(console.tenant, data)
    await until(lambda: settled(console.app, UUID(webhook["id"]), status, 1))
    made = [x for x in await console.app.deliveries(webhook["id"]) if x["status"] == status]
    return console.path(f"/webhooks/{webhook['id']}?delivery={made[0]['id']}")


def download(page: Found, part: str) -> str:
    """The path of the file with this part of the attempt."""
    [found] = re.findall(rf'href="([^"]*/deliveries/[^"/]*/{part})"', page.text)
    return unescape(found)


async def open_files(client: ConsoleClient, page: Found) -> list[Found]:
    return [await client.get(download(page, each)) for each in ("request", "response", "curl")]


async def test_a_failed_attempt_shows_its_cause_both_sides_and_the_ways_on(
    console: Console, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(503, body=b'{"error": "maintenance"}')
    path = await deliver(console, receiver.url, {"n": 1})
    async with console.operator() as operator, console.portal(scope="read") as reader:
        page, read_only = await operator.get(path), await reader.get(path)
        request, response, curl = await open_files(reader, page)

    assert "the receiver answered 503" in page.shown
    for text in ("X-PenguinMails-Signature", "answer", "in all", "Retry now", "Disable webhook"):
        assert text in page.shown
    assert "Retry now" not in read_only.shown
    assert request.text.encode() == receiver.received[0].body
    assert response.text == '{"error": "maintenance"}'
    assert curl.text.startswith("curl --globoff -X POST ")
    for file in (request, response, curl):
        assert file.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert file.headers["Content-Disposition"].startswith('attachment; filename="evt_')
        assert file.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_waiting_attempt_says_why_the_last_one_failed_and_what_it_waits_for(
    console: Console, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(503)
    page_of_webhook, _, _ = (await deliver(console, receiver.url, {"n": 1})).partition("?")
    webhook = UUID(page_of_webhook.rpartition("/")[2])
    [waiting] = [x for x in await console.app.deliveries(webhook) if x["status"] != "failed"]
    path = f"{page_of_webhook}?delivery={waiting['id']}"
    async with console.operator() as client:
        page = await client.get(path)
        await console.api.post(f"/api/webhooks/{webhook}/pause")
        paused = await client.get(path)
        action = console.path(f"/deliveries/{waiting['id']}")
        refused = await client.post(f"{action}/retry", form_of(page.text, "/retry"))

    assert "Attempt 1 failed: the receiver answered 503" in page.shown
    assert "Retry now" in page.shown
    assert "Nothing was sent" not in page.shown
    assert "when resumed" in paused.shown
    assert "Resume webhook" in paused.shown
    assert "Retry now" not in paused.shown
    assert refused.status == 409
    assert f'href="{action}">Back' in refused.text


async def test_an_attempt_is_shown_beside_those_of_its_own_webhook_only(
    console: Console, receiver: Receiver
) -> None:
    path = await deliver(console, receiver.url, {"n": 1}, status="success")
    other = await console.api.create_webhook(receiver.url)
    _, _, selected = path.partition("?")
    async with console.operator() as operator:
        mixed_up = await operator.get(console.path(f"/webhooks/{other['id']}?{selected}"))
        opened = await operator.get(console.path(f"/deliveries/{selected.partition('=')[2]}"))

    assert mixed_up.status == 404
    assert opened.location == path


async def test_pages_stay_small_whatever_was_sent_and_answered(console: Console) -> None:
    chance = random.Random(1)
    noise = "".join(chance.choices(ascii_letters, k=60_000))
    numbers = [chance.randrange(10) for _ in range(30_000)]
    controls = "".join(chance.choices("\x01\x02\x03\x04\x05\u202e\u2066\x7f", k=9_000))
    answers = (
        b"HTTP/1.1 500 X\r\nContent-Length: %d\r\n\r\n" % FIVE_MEGABYTES + b"x" * FIVE_MEGABYTES,
        b"HTTP/1.1 500 X\r\nContent-Length: 9000\r\n\r\n" + bytes(range(1, 9)) * 1125,
    )
    sizes = []
    async with console.operator() as operator:
        for data in ({"a": noise, "n": numbers}, {"a": controls}, {"a": "x" * 3_000_000}):
            for answer in answers:
                async with hostile(responding_with(answer)) as server:
                    page = await operator.get(await deliver(console, server.url, data))
                    assert page.status == 200
                    sizes.append(len(gzip.compress(page.text.encode())))
        event = re.findall(r"/events/evt_[0-9a-f]{32}", page.text)[0]
        whole = await operator.get(console.path(event))

    assert max(sizes) < MOST_BYTES
    assert "2.9 MiB: too large to be shown here." in page.shown
    assert "2.9 MiB: too large to be shown here." in whole.shown


async def test_hostile_text_of_both_sides_stays_text(
    pages: Pages, console: Console, receiver: Receiver
) -> None:
    evil = f"</pre><script>document.title = 'owned'</script>{HOSTILE}\r\nX: y"
    receiver.answer = lambda _: Reply(
        500, headers={"X-Note": "<script>1</script>"}, body=evil.encode()
    )
    path = await deliver(console, receiver.url, {"<script>": evil})
    page = await console.sign_in(await pages.open())

    await page.goto(console.origin + path)

    await expect(page).to_have_title(re.compile("Inspected"))
    shown = await page.get_by_label("Body of the response").inner_text()
    assert "<script>document.title" in shown
    assert not set("\u202e\x07") & set(await page.locator("main").inner_text())
    assert await page.locator("main script, main img").count() == 0


async def test_bodies_are_indented_or_exactly_as_sent_without_scripts(
    pages: Pages, console: Console, receiver: Receiver
) -> None:
    sent = '{"ok":  true}'
    receiver.answer = lambda _: Reply(body=sent.encode())
    path = await deliver(console, receiver.url, {"n": [1, 2]}, status="success")
    page = await console.sign_in(await pages.open(javascript=False))
    await page.goto(console.origin + path)
    request = page.get_by_label("Body of the request")
    response = page.get_by_label("Body of the response")

    assert '"data": {\n    "n": [' in await request.inner_text()
    assert await response.inner_text() == '{\n  "ok": true\n}'
    for switch in await page.get_by_label("exactly as it was sent").all():
        await switch.check()

    assert (await request.inner_text()).encode() == receiver.received[0].body
    assert await response.inner_text() == sent


async def test_a_command_is_copied_and_the_attempt_repeated_by_keys(
    operator_page: Page, console: Console, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(503)
    path = await deliver(console, receiver.url, {"n": 1})
    page = operator_page
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.goto(console.origin + path)

    await page.get_by_role("link", name="Copy as curl").click()
    await expect(page.get_by_role("link", name="Copied")).to_be_visible()
    copied = await page.evaluate("navigator.clipboard.readText()")
    receiver.answer = lambda _: Reply(200)
    await page.keyboard.press("r")
    await until(lambda: len(receiver.received) == 2)
    await expect(page.get_by_label("Attempts").get_by_role("link")).to_have_count(2)

    assert copied.startswith("curl --globoff -X POST ")
    assert receiver.received[1].event == receiver.received[0].event


async def test_a_retry_that_is_sent_twice_makes_one_attempt(
    console: Console, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(410)
    path = await deliver(console, receiver.url, {"n": 1})
    webhook = UUID(path.partition("/webhooks/")[2][:36])
    await console.api.post(f"/api/webhooks/{webhook}/resume")
    receiver.answer = lambda _: Reply(200)
    async with console.operator() as operator:
        page = await operator.get(path)
        [action] = re.findall(r'action="([^"]*/retry)"', page.text)
        form = form_of(page.text, "/retry")
        first = await operator.post(action, form)
        await until(lambda: settled(console.app, webhook, "success", 1))
        second = await operator.post(action, form)

    assert first.status == 303
    assert first.location == second.location
    assert len(receiver.received) == 2


@pytest.mark.parametrize("time", ["NULL", "'infinity'", "'294276-01-01'", "'-infinity'"])
async def test_a_finished_attempt_of_any_time_is_shown(console: Console, time: str) -> None:
    """The application writes the time of a row that it inserts."""
    webhook = UUID((await console.api.create_webhook("http://127.0.0.1:9/"))["id"])
    failed = await insert_delivery(console.app, webhook, status="failed", error_message="odd time")
    await console.app.db.execute(
        f"UPDATE webhook_deliveries SET attempted_at = {time}, next_retry_at = NULL"
    )
    async with console.operator() as client:
        page = await client.get(console.path(f"/webhooks/{webhook}?delivery={failed}"))
        listed = await client.get(console.path(f"/webhooks/{webhook}"))

    assert (page.status, listed.status) == (200, 200)
    assert "odd time" in page.shown
