"""A webhook that the application inserts with the id of a deleted one of another tenant."""

import json

from tests.support.api_client import serving_api
from tests.support.application import SECRET, Application
from tests.support.daemons import until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver

MARK = "of-the-former-tenant"
INSERT = """
    INSERT INTO webhooks (id, tenant_id, name, endpoint_url, secret_key)
    VALUES ($1, $2, 'the other one', $3, $4)
"""


async def test_it_shows_and_sends_nothing_of_the_former_tenant(
    app: Application, database: str, receiver: Receiver
) -> None:
    former, other = await app.tenant(), await app.tenant()
    webhook = await app.webhook(former, f"{receiver.url}/{MARK}")
    async with serving_api(database, other) as api:
        event = await app.event(former, {"text": MARK})
        await until(lambda: settled(app, webhook, "success", 1))
        await app.db.execute("UPDATE webhooks SET name = $2 WHERE id = $1", webhook, MARK)
        replay = {"webhookId": str(webhook), "from": "2020-01-01T00:00:00Z"}
        shown = await api.as_tenant(former).post("/api/replays", replay)
        await until(lambda: settled(app, webhook, "success", 2))

        await app.db.execute("DELETE FROM webhooks WHERE id = $1", webhook)
        await app.db.execute(INSERT, webhook, other, f"{receiver.url}/other", SECRET)
        own = await app.event(other, {"text": "own"})
        await until(lambda: settled(app, webhook, "success", 1))
        pages = [
            await api.get(f"/api/webhooks/{webhook}{path}")
            for path in ("", "/deliveries", "/stats", "/undelivered", f"/explain?eventId={event}")
        ]
        pages += [await api.get(path) for path in ("/api/replays", "/api/audit", "/api/deliveries")]

    assert shown.status == 202
    assert [each.status for each in pages] == [200, 200, 200, 200, 404, 200, 200, 200]
    assert not [each.text for each in pages if MARK in each.text]
    sent = [each.event["id"] for each in receiver.received if each.path == "/other"]
    assert sent == [f"evt_{own.hex}"]
    assert json.loads(pages[1].text)["deliveries"]
