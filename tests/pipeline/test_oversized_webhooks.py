"""Columns of one webhook that are too large to be read stop no other webhook."""

import pytest

from tests.support.api_client import serving_api
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver

HUGE_NUMBERS = "[" + ",".join(["1e131071"] * 10_000) + "]"

NESTED = "[" * 16_000 + "]" * 16_000

OVERSIZED = {
    "filters": f"""event_filters = '{{"filters": {{"a": {HUGE_NUMBERS}}}}}'""",
    "headers": f"""custom_headers = '{{"X-A": {HUGE_NUMBERS}}}'""",
    "a URL": "endpoint_url = repeat('x', 5000000)",
    "a certificate": "endpoint_url = 'https://127.0.0.1:9/', client_key = repeat('x', 5000000),"
    " client_certificate = repeat('x', 5000000)",
    "the deepest filters": f"event_filters = '{NESTED}'",
    "the deepest headers": f"custom_headers = '{NESTED}'",
    "a header that is compressed": "custom_headers ="
    " jsonb_build_object('X-A', repeat('x', 50000000))",
    "millions of types": "event_types = array_fill('x'::text, ARRAY[2000000])",
    "types": "event_types = array_fill(repeat('x', 1000), ARRAY[5000])",
}


@pytest.mark.parametrize("change", OVERSIZED.values(), ids=OVERSIZED)
async def test_an_oversized_webhook_stops_no_other(
    app: Application, database: str, receiver: Receiver, change: str
) -> None:
    tenant = await app.tenant()
    bad = await app.webhook(tenant, receiver.url + "/bad")
    await app.db.execute(f"UPDATE webhooks SET {change} WHERE id = $1", bad)
    good = await app.webhook(tenant, receiver.url + "/good")
    elsewhere = await app.tenant()
    other = await app.webhook(elsewhere, receiver.url + "/other")
    async with serving(database):
        await app.event(tenant, {"a": 1})
        await app.event(elsewhere)
        for webhook in (good, other):
            await until(lambda webhook=webhook: settled(app, webhook, "success", 1))

    assert receiver.at("/bad") == []


@pytest.mark.parametrize("change", OVERSIZED.values(), ids=OVERSIZED)
async def test_an_oversized_webhook_can_be_listed_and_paused(
    app: Application, database: str, receiver: Receiver, change: str
) -> None:
    tenant = await app.tenant()
    bad = await app.webhook(tenant, receiver.url + "/bad")
    await app.db.execute(f"UPDATE webhooks SET {change} WHERE id = $1", bad)
    async with serving_api(database, tenant) as api:
        listed = await api.get("/api/webhooks")
        paused = await api.post(f"/api/webhooks/{bad}/pause")

    assert (listed.status, len(listed.json["webhooks"])) == (200, 1)
    assert (paused.status, paused.json["isActive"]) == (200, False)
