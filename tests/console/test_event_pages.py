"""Pages of events: the search, one event at every webhook, and why it did not arrive."""

import re
from html import unescape
from uuid import uuid4

import orjson
import pytest

from daemon.store import search
from tests.support.console import Console, Found
from tests.support.daemons import until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver, Reply

ROW = re.compile(r"<tr>(.*?)</tr>", re.DOTALL)


def rows(page: Found) -> list[str]:
    """The text of each row of the page's table."""
    body = page.text.partition("<tbody>")[2]
    return [Found(200, {}, row, []).shown for row in ROW.findall(body)]


def link(page: Found, label: str) -> str:
    """Where the link with this text leads."""
    [found] = re.findall(rf'<a [^>]*href="([^"]*)"[^>]*>{re.escape(label)}</a>', page.text)
    return unescape(found)


async def test_events_are_found_by_what_they_are_about(console: Console) -> None:
    app, tenant = console.app, console.tenant
    wanted = await app.event(
        tenant, {"contact": {"id": "c_1", "email": "a@x.test"}, "campaign_id": "camp_1"}
    )
    await app.event(tenant, {"contact": {"id": "c_2"}}, type="email.sent")
    async with console.portal(scope="read") as reader:
        path = console.path("/events")
        whole = await reader.get(path)
        found = [
            await reader.get(path, **query)
            for query in (
                {"contact": "c_1"},
                {"contact": "a@x.test"},
                {"campaign": "camp_1"},
                {"type": "email.opened", "from": "2020-01-01T00:00"},
            )
        ]
        nothing = await reader.get(path, contact="c_3")
        wrong = await reader.get(path, **{"from": "yesterday"})

    assert len(rows(whole)) == 2
    for value in ("c_1", "camp_1", "email.sent"):
        assert f'<option value="{value}">' in whole.text
    assert [[f"evt_{wanted.hex}" in each for each in rows(page)] for page in found] == [[True]] * 4
    assert 'value="a@x.test"' in found[1].text
    assert "No event matches." in nothing.shown
    assert wrong.status == 422
    assert 'aria-describedby="from-error"' in wrong.text


async def test_a_search_that_ends_early_says_how_far_it_looked(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    await console.app.events(console.tenant, search.FIRST_ROWS + 1)
    monkeypatch.setattr(search, "PAGE_SECONDS", 0)
    async with console.operator() as operator:
        first = await operator.get(console.path("/events"), contact="nobody")
        second = await operator.get(
            console.path("/events")
            + link(first, "Look further back")[len(console.path("/events")) :]
        )

    assert "None found so far. Looked at events since" in first.shown
    assert "No event matches." in second.shown


async def test_an_event_shows_what_became_of_it_at_each_webhook_trouble_first(
    console: Console, receiver: Receiver
) -> None:
    api, base = console.api, receiver.url
    receiver.answer = lambda request: Reply(503 if request.path == "/down" else 200)
    good = await api.create_webhook(f"{base}/good", name="Accepts")
    down = await api.create_webhook(f"{base}/down", name="Fails")
    vip = {"filters": {"contact.tags": ["vip"]}}
    picky = await api.create_webhook(base, name="Choosy", eventFilters=vip)
    event = await console.app.event(console.tenant, {"contact": {"tags": ["new"]}})
    await until(lambda: settled(console.app, good["id"], "success", 1))
    await until(lambda: settled(console.app, down["id"], "pending_retry", 1))
    path = console.path(f"/events/evt_{event.hex}")
    async with console.operator() as operator, console.portal(scope="read") as reader:
        seen, seen_by_reader = await operator.get(path), await reader.get(path)
        one = await operator.get(path, search="acc")
        why = await operator.get(
            console.path(f"/webhooks/{picky['id']}/why"), event=f"evt_{event.hex}"
        )
        data = await reader.get(f"{path}/data")
        inspected = await operator.get(link(one, "inspect"))
        stranger = await operator.get(console.path(f"/events/{event}", console.other_tenant))

    fails, choosy, accepts = rows(seen)
    assert fails.startswith("Failing Fails the receiver answered 503")
    assert "attempt 2 in" in fails
    assert choosy.startswith('Filtered Choosy Its contact.tags is "new"')
    assert accepts.startswith("Delivered Accepts 200 at the first attempt")
    assert "test" not in rows(seen_by_reader)[0].split()
    assert len(rows(one)) == 1
    assert inspected.location.startswith(console.path(f"/webhooks/{good['id']}?delivery="))
    assert 'Path contact.tags The event has "new"' in why.shown
    assert data.text == '{"contact": {"tags": ["new"]}}'
    assert data.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert data.headers["Content-Disposition"].startswith("attachment;")
    assert stranger.status == 404


async def test_an_event_of_many_webhooks_has_pages_and_a_search(console: Console) -> None:
    for _ in range(26):
        await console.app.webhook(console.tenant, "https://h.example.com/", types=["order.*"])
    event = await console.app.event(console.tenant)
    path = console.path(f"/events/{event}")
    async with console.portal() as portal:
        first = await portal.get(path)
        second = await portal.get(path + link(first, "More webhooks").removeprefix(path))
        nothing = await portal.get(path, search="another")

    assert (len(rows(first)), len(rows(second))) == (25, 1)
    assert 'name="search"' in first.text
    assert link(second, "First") == path
    assert "No webhook matches." in nothing.shown


async def test_why_says_beside_the_field_that_an_event_is_unknown(console: Console) -> None:
    webhook = await console.api.create_webhook("https://hooks.example.com/")
    path = console.path(f"/webhooks/{webhook['id']}/why")
    async with console.operator() as operator:
        unknown = await operator.get(path, event=str(uuid4()))
        malformed = await operator.get(path, event="<b>evt_1")
        asked = await operator.get(path)

    assert [unknown.status, malformed.status, asked.status] == [422, 422, 200]
    assert "There is no event with this id." in unknown.shown
    assert "must be an event's id" in malformed.shown
    assert 'value="&lt;b&gt;evt_1"' in malformed.text


async def test_undelivered_events_are_listed_counted_and_handed_to_a_replay(
    console: Console, receiver: Receiver
) -> None:
    api, app = console.api, console.app
    paused = await api.create_webhook(receiver.url, name="Dormant", isActive=False)
    other = await api.create_webhook(receiver.url, name="Awake")
    events = [await app.event(console.tenant) for _ in range(3)]
    await until(lambda: settled(app, other["id"], "success", 3))
    path = console.path(f"/webhooks/{paused['id']}/undelivered")
    async with console.operator() as operator, console.portal(scope="read") as reader:

        async def is_counted(**query: str) -> bool:
            return "Still counting" not in (await operator.get(path, **query)).text

        await until(is_counted)
        seen, seen_by_reader = await operator.get(path), await reader.get(path)
        long_ago = {"from": "2019-01-01T00:00", "to": "2020-01-01T00:00"}
        counting = await operator.get(path, **long_ago)
        await until(lambda: is_counted(**long_ago))
        nothing = await operator.get(path, **long_ago)
        wrong = await operator.get(path, to="soon")
        counted = await operator.get(link(seen, "Replay these"))

    assert "3 undelivered events" in seen.shown
    assert [each.startswith("Paused then email.opened") for each in rows(seen)] == [True] * 3
    assert all(f"evt_{each.hex}" in seen.text for each in events)
    assert "Send the 3 undelivered" in counted.shown
    assert "Replay these" not in seen_by_reader.shown
    assert "Nothing is missing" in nothing.shown
    assert ("Still counting" in counting.shown) != ("Nothing is missing" in counting.shown)
    assert (wrong.status, 'id="to-error"' in wrong.text) == (422, True)


async def test_every_type_of_event_has_an_anchor_fields_and_a_sample(console: Console) -> None:
    types = (await console.api.get("/api/event-types")).json["eventTypes"]
    async with console.portal() as portal:
        page = await portal.get(console.path("/event-types"))

    for each in types:
        assert f'id="{each["name"]}"' in page.text
        assert f'href="#{each["name"]}"' in page.text
        assert all(f"<code>{field}</code>" in page.text for field in each["fields"])
        [sample] = re.findall(rf'id="{each["name"]}-sample"[^>]*>(.*?)</pre>', page.text, re.DOTALL)
        shown = orjson.loads(unescape(re.sub(r"<[^>]+>", "", sample)))
        assert shown == each["sample"]
