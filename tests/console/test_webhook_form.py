"""The form of a webhook: with and without scripts, created, changed and deleted."""

import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.support.browser import Pages
from tests.support.console import Console, ConsoleClient, Found
from tests.support.html_forms import form_of
from tests.support.receiver import Receiver

NEW = "/webhooks/new"
CARDS: list[dict[str, Any]] = [
    {"contact": {"tags": ["vip"]}, "campaign": {"type": "promotional"}, "amount": 7},
    {"contact": {"tags": ["new"]}, "campaign": {"type": "promotional"}, "amount": 7},
    {"contact": {"tags": ["vip", "a, b"]}, "campaign": {"type": "digest"}, "amount": 8},
]


async def publish(console: Console) -> None:
    for data in CARDS:
        await console.app.event(console.tenant, data, type="email.opened")
    await console.app.event(console.tenant, CARDS[0], type="email.sent")


async def press(console: Console, client: ConsoleClient, form: dict[str, str], do: str) -> Found:
    """Press one of the buttons that only change the form."""
    return await client.post(console.path(NEW), form | {"do": do})


def filled(form: dict[str, str]) -> dict[str, str]:
    """What somebody filled in."""
    return {name: value for name, value in form.items() if value and name != "once"}


async def only_webhook(console: Console) -> Any:
    [webhook] = (await console.api.get("/api/webhooks")).json["webhooks"]
    return webhook


async def test_without_scripts_buttons_fill_the_form_and_both_views_are_the_same_filter(
    console: Console,
) -> None:
    await publish(console)
    async with console.operator() as client:
        form = form_of((await client.get(console.path(NEW))).text, NEW)
        form |= {"name": "CRM", "endpointUrl": "https://hooks.example.com/crm"}
        for button in ("types:email", "types:-email", "types:contact", "types:email"):
            form = form_of((await press(console, client, form, button)).text, NEW)
        del form["type.email.sent"], form["type.contact.created"]
        form = form_of(
            (await press(console, client, form, 'pick:["contact.tags","vip"]')).text, NEW
        )
        form = form_of((await press(console, client, form, 'pick:["amount","7"]')).text, NEW)
        form |= {"path.2": "contact.tags", "value.2": "x"}
        assert (form["path.0"], form["value.0"]) == ("contact.tags", "vip")
        form |= {"path.2": "campaign.type", "value.2": 'promotional, "7", "a, b"'}

        preview = await press(console, client, form, "preview")
        as_json = form_of((await press(console, client, form, "json")).text, NEW)
        again = form_of((await press(console, client, as_json, "fields")).text, NEW)
        wrong = await press(console, client, as_json | {"eventFilters": "{"}, "fields")
        created = await client.post(console.path(NEW), again)

        assert "Would match 1 of the last 4 events." in preview.shown
        assert "email.sent" in preview.shown
        assert as_json["filterView"] == "json"
        assert filled(again) == filled(form)
        assert wrong.status == 422
        assert "is not valid JSON" in wrong.shown
        assert created.status == 303
    webhook = await only_webhook(console)
    assert webhook["eventFilters"] == {
        "filters": {
            "contact.tags": "vip",
            "amount": 7,
            "campaign.type": ["promotional", "7", "a, b"],
        }
    }
    assert "email.opened" in webhook["eventTypes"]
    assert "contact.unsubscribed" in webhook["eventTypes"]
    assert not {"email.sent", "contact.created"} & set(webhook["eventTypes"])


async def test_somebody_who_may_only_read_sees_what_the_stored_settings_match(
    pages: Pages, console: Console
) -> None:
    await publish(console)
    webhook = await console.api.create_webhook(
        "https://hooks.example.com/", eventTypes=["email.sent"]
    )
    page = await console.enter(await pages.open(), scope="read")

    await page.goto(console.page_url(f"/webhooks/{webhook['id']}/settings"))

    await expect(page.locator("#preview")).to_contain_text("Would match 1 of the last 4 events.")
    await expect(page.locator("#preview")).to_contain_text("Not of a chosen type: email.opened")
    await page.wait_for_load_state("networkidle")
    await expect(page.locator("#preview")).to_contain_text("Would match 1 of the last 4 events.")


async def test_the_verdict_on_the_url_stays_while_other_fields_are_filled_by_buttons(
    operator_page: Page, console: Console
) -> None:
    page = operator_page
    await page.goto(console.page_url(NEW))
    await page.get_by_label("URL", exact=True).fill("https://hooks.example.com/crm")
    await expect(page.get_by_text("This URL can be used.")).to_be_visible()
    await page.get_by_text("Only events with certain data").click()

    await page.get_by_role("button", name="Add a condition").click()

    await expect(page.get_by_label("Field, condition 1")).to_be_visible()
    await expect(page.get_by_text("This URL can be used.")).to_be_visible()


async def test_groups_that_a_wildcard_chooses_say_so(console: Console) -> None:
    webhook = await console.api.create_webhook(
        "https://hooks.example.com/", eventTypes=["email.*", "contact.created"]
    )
    async with console.operator() as client:
        page = await client.get(console.path(f"/webhooks/{webhook['id']}/settings"))

    assert page.shown.count("all are chosen, by the wildcard below") == 1


async def test_what_is_wrong_stands_beside_the_field_and_what_was_typed_is_kept(
    console: Console,
) -> None:
    async with console.operator() as client:
        form = form_of((await client.get(console.path(NEW))).text, NEW)
        form |= {"name": "\u202eevil", "endpointUrl": "https://10.1.2.3/", "which": "some"}
        form |= {"otherTypes": "not..a.type", "path.0": "a", "value.0": ""}

        none_chosen = await client.post(console.path(NEW), form | {"otherTypes": " "})
        condition = await client.post(console.path(NEW), form | {"name": "ok"})
        refused = await client.post(console.path(NEW), form | {"value.0": "b"})

    assert none_chosen.status == condition.status == refused.status == 422
    assert "choose at least one type, or all" in none_chosen.shown
    assert "a condition needs a value for a" in condition.shown
    kept = form_of(refused.text, NEW)
    assert (kept["endpointUrl"], kept["value.0"]) == ("https://10.1.2.3/", "b")
    for name in ("name", "eventTypes"):
        assert f'id="{name}-error"' in refused.text
        assert f'href="#{name}"' in refused.text
    assert "\u202e" not in re.sub(r'value="[^"]*"', "", refused.text)


async def test_somebody_creates_a_webhook_sees_its_secret_once_and_tests_it(
    operator_page: Page, console: Console, receiver: Receiver
) -> None:
    page = operator_page
    await publish(console)
    await page.goto(console.page_url(NEW))
    await expect(page.get_by_text("Would match 4 of the last 4 events.")).to_be_visible()
    await page.get_by_label("Name", exact=True).fill("CRM")
    url = page.get_by_label("URL", exact=True)

    await url.press_sequentially("ftp://crm.example.com/")
    await expect(page.locator("#endpointUrl-error .error")).to_be_visible()
    await expect(url).to_have_attribute("aria-invalid", "true")
    await expect(url).to_be_focused()
    await url.fill(f"{receiver.url}/crm")
    await expect(page.get_by_text("This URL can be used.")).to_be_visible()
    await expect(url).not_to_have_attribute("aria-invalid", "true")
    await page.get_by_label("Only some types").check()
    # Nothing is wrong before anything is chosen.
    await expect(page.locator("#preview .muted")).to_have_text("choose at least one type, or all")
    await page.get_by_role("button", name="All email events").click()
    await page.get_by_label("email.sent").uncheck()
    await page.get_by_text("Only events with certain data").click()
    await page.get_by_label("Field, condition 1").fill("contact.tags")
    await page.get_by_label("One of these values, condition 1").fill("vip")
    await expect(page.get_by_text("Would match 2 of the last 4 events.")).to_be_visible()
    await page.get_by_role("button", name="Create webhook").dblclick()

    secret = page.locator("#secret")
    await expect(secret).to_have_text(re.compile(r"^whsec_.{20,}"))
    shown = await secret.text_content()
    await expect(page.get_by_role("status").first).to_contain_text("CRM is created.")
    await page.get_by_role("button", name="Send test event").click()
    await expect(page.get_by_text("Test successful.")).to_be_visible()
    await expect(secret).to_have_text(shown or "")
    assert [each.path for each in receiver.received] == ["/crm"]
    webhook = await only_webhook(console)
    assert webhook["eventFilters"] == {"filters": {"contact.tags": "vip"}}
    await page.reload()
    await expect(page.get_by_text("shown once")).to_be_visible()
    await page.goto(console.page_url("/webhooks"))
    # A page that the browser kept is not loaded.
    await page.go_back(wait_until="commit")
    await expect(page.get_by_text("shown once").first).to_be_visible()
    await expect(page.get_by_text(shown or "-")).to_have_count(0)


async def test_settings_keep_replace_and_remove_secret_headers_also_where_the_url_moves(
    console: Console,
) -> None:
    webhook = await console.api.create_webhook(
        "https://one.example.com/", customHeaders={"X-Keep": "k", "X-Old": "o", "X-Gone": "g"}
    )
    path = f"/webhooks/{webhook['id']}/settings"
    async with console.operator() as client:
        form = form_of((await client.get(console.path(path))).text, path)
        at = {form[f"header.{n}.name"]: n for n in range(3)}
        form |= {f"header.{at['X-Old']}.choice": "replace", f"header.{at['X-Old']}.value": "new"}
        form |= {f"header.{at['X-Gone']}.choice": "remove", "header.3.name": "X-New"}
        form |= {"header.3.value": "n", "timeout": "10s", "maxPerSecond": "0.5"}
        saved = await client.post(console.path(path), form)
        page = await client.get(console.path(path))
        form = form_of(page.text, path) | {"endpointUrl": "https://two.example.com/"}
        refused = await client.post(console.path(path), form)
        unreadable = await client.post(console.path(path), form | {"maxInFlight": "many"})
        for place in range(3):
            form |= {f"header.{place}.choice": "replace", f"header.{place}.value": "v"}
        moved = await client.post(console.path(path), form)

    assert saved.status == moved.status == 303
    assert set((await only_webhook(console))["customHeaders"]) == {"X-Keep", "X-Old", "X-New"}
    assert refused.status == 422
    assert refused.text.count("The URL moves to another server.") == 3
    assert form_of(refused.text, path)["endpointUrl"] == "https://two.example.com/"
    assert "must be a whole number" in unreadable.shown
    changed = await only_webhook(console)
    assert (changed["timeout"], changed["maxPerSecond"]) == ("10s", 0.5)
    assert changed["endpointUrl"] == "https://two.example.com/"


async def test_an_old_page_of_settings_does_not_resume_what_was_paused_since(
    console: Console,
) -> None:
    webhook = await console.api.create_webhook("https://one.example.com/")
    path = f"/webhooks/{webhook['id']}/settings"
    async with console.operator() as client:
        form = form_of((await client.get(console.path(path))).text, path)
        await console.api.post(f"/api/webhooks/{webhook['id']}/pause")
        await client.post(console.path(path), form | {"name": "Renamed"})

    changed = await only_webhook(console)
    assert (changed["name"], changed["state"]) == ("Renamed", "paused")


async def test_a_webhook_is_deleted_when_its_name_is_typed(console: Console) -> None:
    webhook = await console.api.create_webhook("https://one.example.com/", name="CRM")
    path = f"/webhooks/{webhook['id']}"
    async with console.operator() as client:
        form = form_of((await client.get(console.path(f"{path}/settings"))).text, "/delete")
        wrong = await client.post(console.path(f"{path}/delete"), form | {"confirmedName": "crm"})
        assert (await only_webhook(console))["id"] == webhook["id"]
        right = await client.post(console.path(f"{path}/delete"), form | {"confirmedName": "CRM"})
        listed = await client.get(right.location)

    assert wrong.status == 422
    assert 'id="confirmedName-error"' in wrong.text
    assert right.status == 303
    assert "The webhook is deleted." in listed.shown
    assert "Which URL should get your events?" in listed.shown
    assert (await console.api.get("/api/webhooks")).json["webhooks"] == []


@pytest.mark.parametrize("javascript", [True, False])
async def test_the_page_for_receivers_says_what_this_webhook_sends(
    pages: Pages, console: Console, *, javascript: bool
) -> None:
    webhook = await console.api.create_webhook(
        "https://one.example.com/in/crm", customHeaders={"X-Key": "secret-value"}, timeout="9s"
    )
    page = await console.sign_in(await pages.open(javascript=javascript))
    await page.goto(console.page_url(f"/webhooks/{webhook['id']}/receive"))

    await expect(page.get_by_text('app.post("/in/crm"')).to_be_visible()
    await page.get_by_text("PHP", exact=True).click()

    await expect(page.get_by_text("hash_equals").first).to_be_visible()
    await expect(page.get_by_text("within 9 seconds")).to_be_visible()
    await expect(page.get_by_text("1 minute, 5 minutes, 15 minutes, 1 hour and")).to_be_visible()
    await expect(page.get_by_text("X-Key")).to_be_visible()
    assert "secret-value" not in await page.content()
