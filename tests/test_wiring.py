"""The wiring of a daemon: which parts share a resource, and that a stop releases it."""

import threading

from tests.support.api_client import serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver

LARGE_TEXT = "x" * (300 * 1024)


def offload_threads() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if each.name.startswith("offload")}


async def test_deliveries_and_api_share_two_threads_that_end_with_the_daemon(
    app: Application, database: str, receiver: Receiver
) -> None:
    earlier = offload_threads()  # a daemon of another test may still be ending
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving_api(database, tenant=tenant) as api:
        await app.event(tenant, {"text": LARGE_TEXT})
        await until(lambda: settled(app, webhook, "success", 1))
        [delivery] = await app.deliveries(webhook)

        detail = await api.get(f"/api/deliveries/{delivery['id']}")
        test = await api.post(f"/api/webhooks/{webhook}/test", {"eventType": "email.opened"})

        assert (detail.status, test.status) == (200, 200)
        names = sorted(each.name for each in offload_threads() - earlier)
        assert names == ["offload-short_0", "offload_0"]
    await until(lambda: not offload_threads() - earlier)
