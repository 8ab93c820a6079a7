"""
Rows as the application should not write them can be seen and managed by the API.

The tests share a daemon; each has a tenant of its own.
"""

from collections.abc import Iterator

import pytest

from daemon.service import Service
from tests.store.test_odd_rows import MOST, nested, refusing, row, settled
from tests.support.api_client import operator_client
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.receiver import Receiver
from tests.support.shared_daemon import shared_daemon


@pytest.fixture(scope="module")
def service(shared_database: str) -> Iterator[Service]:
    with shared_daemon(shared_database) as running:
        yield running.service


@pytest.fixture
def database(shared_database: str) -> str:
    """The main application writes to the database that the tests share."""
    return shared_database


@pytest.mark.parametrize("number", [-10, 0, MOST])
async def test_an_attempt_of_any_number_is_settled_and_can_be_made_again(
    number: int, app: Application, service: Service, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, f"{receiver.url}/odd")
    refusing("/odd", receiver)
    delivery = await row(app, webhook, payload="{}", attempt_number=number)
    async with operator_client(service, tenant) as api:
        await until(lambda: settled(app, webhook, "failed"), within=10)
        again = await api.post(f"/api/deliveries/{delivery}/retry")
    assert again.status == 202, again


ODD_DATA = {
    "a number beyond doubles": '{"a": 1e400}',
    "a long integer": '{"a": ' + "9" * 400 + "}",
    "an integer of 65 bits": '{"a": 18446744073709551616}',
    "a nest": nested(300),
    "a deep nest": nested(1100),
    "no object": "[1, null]",
    "null": "null",
}
ODD_FILTERS = ODD_DATA | {"the deepest nest": nested(16_000)}


@pytest.mark.parametrize("data", ODD_DATA.values(), ids=ODD_DATA)
async def test_what_was_stored_is_shown_digit_for_digit_or_as_a_text(
    data: str, app: Application, service: Service, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    stored = await app.db.fetchval("SELECT $1::jsonb::text", data)
    async with operator_client(service, tenant) as api:
        event = await app.event(tenant, text=data)
        await until(lambda: settled(app, webhook, "success"), within=10)
        [delivery] = await app.deliveries(webhook)
        seen = await api.get(f"/api/events/{event}")
        assert seen.status == 200
        assert f'"data":{stored}' in seen.text or seen.json["data"] == stored
        assert (await api.get(f"/api/deliveries/{delivery['id']}")).status == 200
        assert (await api.get("/api/events")).status == 200


@pytest.mark.parametrize("filters", ODD_FILTERS.values(), ids=ODD_FILTERS)
async def test_a_webhook_with_any_filters_can_be_managed(
    filters: str, app: Application, service: Service
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, "http://127.0.0.1:9/")
    await app.db.execute("UPDATE webhooks SET event_filters = $2 WHERE id = $1", webhook, filters)
    async with operator_client(service, tenant) as api:
        there = f"/api/webhooks/{webhook}"
        assert (await api.get("/api/webhooks")).status == 200
        assert (await api.get(there)).status == 200
        assert (await api.patch(there, {"name": "x"})).status in (200, 422)  # told what is wrong
        assert (await api.patch(there, {"eventFilters": None})).status == 200
        assert (await api.delete(there)).status == 204


@pytest.mark.parametrize(
    ("types", "shown"),
    [("ARRAY[NULL, 'a']", ["a"]), ("ARRAY[['a', 'b'], ['c', NULL]]", ["a", "b", "c"])],
)
async def test_a_webhook_with_an_odd_array_of_types_is_shown(
    types: str, shown: list[str], app: Application, service: Service
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, "http://127.0.0.1:9/")
    await app.db.execute(f"UPDATE webhooks SET event_types = {types} WHERE id = $1", webhook)
    async with operator_client(service, tenant) as api:
        there = f"/api/webhooks/{webhook}"
        assert (await api.get(there)).json["eventTypes"] == shown
        assert (await api.get("/api/webhooks")).status == 200
        assert (await api.patch(there, {"eventTypes": ["email.*"]})).status == 200
        assert (await api.delete(there)).status == 204


HEAD = '{"head": "POST / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n"'
ODD_ATTEMPTS = {
    "headers in an array": {"response_headers": '["x"]'},
    "a header's number": {"response_headers": '{"x": 1}'},
    "a header's list": {"response_headers": '{"x": ["y"]}'},
    "headers in a deep nest": {"response_headers": nested(1100)},
    "headers in the deepest nest": {"response_headers": nested(16_000)},
    "headers' number beyond doubles": {"response_headers": '{"x": 1e400}'},
    "a trace in an array": {"trace": "[]"},
    "a trace in a deep nest": {"trace": nested(1100)},
    "a head that is none": {"trace": '{"head": 5}'},
    "a short head that is none": {"trace": '{"shortHead": 5}'},
    "a short head of one word": {"trace": '{"shortHead": "x\ue002"}'},
    "a head of one word": {"trace": '{"head": "x"}'},
    "a head of an odd line": {"trace": '{"head": "x\\r\\ny"}'},
    "a head without a host": {"trace": '{"head": "POST / HTTP/1.1\\r\\n\\r\\n"}'},
    "stages in an array": {"trace": HEAD + ', "stagesMs": [1]}'},
    "stages that are none": {"trace": HEAD + ', "stagesMs": {"tls": "x", "lookup": 1e99}}'},
    "data in a deep nest": {"trace": HEAD + "}", "payload": nested(1100)},
    "a status that is none": {"status": "zzz", "status_code": -5},
}


@pytest.mark.parametrize("columns", ODD_ATTEMPTS.values(), ids=ODD_ATTEMPTS)
async def test_an_attempt_of_any_shape_is_shown(
    columns: dict[str, object], app: Application, service: Service
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, "http://127.0.0.1:9/")
    delivery = await row(app, webhook, **{"status": "failed", "status_code": 200} | columns)
    async with operator_client(service, tenant) as api:
        shown = await api.get(f"/api/deliveries/{delivery}")
        listed = await api.get(f"/api/webhooks/{webhook}/deliveries")
    assert (shown.status, listed.status) == (200, 200), shown


@pytest.mark.parametrize("url", ["http://[bad", "", "//", "http://a b/", "x" * 3000])
async def test_a_webhook_of_any_address_can_be_managed_and_its_attempts_seen(
    url: str, app: Application, service: Service
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, url)
    delivery = await row(app, webhook, status="failed", trace=HEAD + "}")
    async with operator_client(service, tenant) as api:
        there = f"/api/webhooks/{webhook}"
        seen = [await api.get(there), await api.get(f"/api/deliveries/{delivery}")]
        tried = await api.post(f"{there}/test", {"sample": True})
        changed = await api.patch(there, {"endpointUrl": "http://127.0.0.1:9/"})
    assert [each.status for each in (*seen, tried, changed)] == [200, 200, 400, 200]
