"""The page of test events: the event is chosen from what is stored, and the true outcome shown."""

from playwright.async_api import expect

from tests.support.browser import Pages
from tests.support.console import Console
from tests.support.html_forms import form_of
from tests.support.receiver import Receiver, Reply


async def test_an_event_is_picked_by_campaign_from_what_is_stored_without_scripts(
    pages: Pages, console: Console, receiver: Receiver
) -> None:
    await console.app.event(console.tenant, {"campaign_id": "camp_1", "n": 1})
    await console.app.event(console.tenant, {"campaign_id": "camp_2", "n": 2})
    webhook = await console.api.create_webhook(receiver.url, isActive=False)
    page = await console.enter(await pages.open(javascript=False))
    await page.goto(console.page_url(f"/webhooks/{webhook['id']}/test"))

    await page.get_by_label("Campaign").select_option("camp_1")
    await page.get_by_role("button", name="Send test", exact=True).click()

    result = page.get_by_label("Result")
    await expect(result.get_by_role("status")).to_contain_text("The receiver answered 200 within")
    await expect(result).to_contain_text("data of a stored event")
    await expect(result.get_by_label("Body of the request")).to_contain_text('"n": 1')
    await expect(result.get_by_label("Body of the response")).to_have_text("OK")
    await expect(page.get_by_label("Campaign")).to_have_value("camp_1")
    assert receiver.received[0].event["data"] == {"campaign_id": "camp_1", "n": 1}


async def test_the_type_of_a_test_is_one_that_the_webhook_gets(
    console: Console, receiver: Receiver
) -> None:
    for kind in ("campaign.paused", "email.clicked"):
        await console.app.event(console.tenant, type=kind)
    chosen = []
    async with console.operator() as operator:
        for types in (["email.*"], ["contact.*"], ["own.type"], None):
            webhook = await console.api.create_webhook(receiver.url, eventTypes=types)
            page = await operator.get(console.path(f"/webhooks/{webhook['id']}/test"))
            chosen.append(form_of(page.text, "/test")["eventType"])

    assert chosen[:3] == ["email.clicked", "contact.created", "own.type"]
    assert chosen[3] in {"campaign.paused", "email.clicked"}


async def test_a_test_that_fails_shows_why_and_is_sent_once(
    console: Console, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(503, body=b"maintenance")
    webhook = await console.api.create_webhook(receiver.url)
    path = console.path(f"/webhooks/{webhook['id']}/test")
    async with console.operator() as operator:
        form = form_of((await operator.get(path)).text, "/test")
        first, second = [await operator.post(path, form) for _ in range(2)]

    assert len(receiver.received) == 1
    assert first.text == second.text
    for text in ("the receiver answered 503", "maintenance", "sample data", "in all"):
        assert text in first.shown


async def test_a_stored_event_is_sent_again_from_its_page(
    console: Console, receiver: Receiver
) -> None:
    event = await console.app.event(console.tenant, {"order": 7}, type="order.paid")
    webhook = await console.api.create_webhook(receiver.url, isActive=False)
    path = console.path(f"/webhooks/{webhook['id']}/test")
    async with console.operator() as operator, console.portal(scope="read") as reader:
        page = await operator.get(path, eventId=f"evt_{event.hex}")
        sent = await operator.post(path, form_of(page.text, "/test"))
        unknown = await operator.get(path, eventId="evt_1")
        refused = await reader.post(path, {"eventType": "email.opened", "once": "x"})
        looked_at = await reader.get(path)

    assert "The stored event order.paid" in page.shown
    assert "Delivered." in sent.shown
    [request] = receiver.received
    assert (request.event["type"], request.event["data"]) == ("order.paid", {"order": 7})
    assert "There is no event with this id." in unknown.shown
    assert refused.status == 403
    assert '<form class="grid"' not in looked_at.text


async def test_a_webhook_for_operational_events_is_tested_with_one(
    console: Console, receiver: Receiver
) -> None:
    webhook = await console.api.create_webhook(receiver.url, scope="account")
    path = console.path(f"/webhooks/{webhook['id']}/test")
    async with console.operator() as operator:
        form = form_of((await operator.get(path)).text, "/test")
        sent = await operator.post(path, form)

    assert "Delivered." in sent.shown
    assert receiver.received[0].event["type"] == "webhook.failing"
