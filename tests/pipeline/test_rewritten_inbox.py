"""VACUUM FULL of the inbox, which writes each row to another place, repeats nothing."""

import asyncio

import pytest

from daemon.store import inbox_leases
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import inbox_is_empty, settled
from tests.support.first_attempts import publish, times
from tests.support.receiver import Receiver, Reply

PLACES = "SELECT event_id, ctid FROM webhook_event_inbox"


@pytest.mark.parametrize("status", [200, 500])
async def test_results_find_the_row_of_their_event_at_its_new_place(
    app: Application, database: str, receiver: Receiver, status: int
) -> None:
    rewritten = asyncio.Event()
    receiver.answer = lambda _: Reply(status, when=rewritten)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    async with serving(database):
        await publish(app, tenant, 2)
        await until(lambda: len(receiver.received) == 2)
        before = await app.db.fetch(PLACES)
        await app.db.execute("VACUUM FULL webhook_event_inbox")
        after = await app.db.fetch(PLACES)
        rewritten.set()
        await until(lambda: settled(app, webhook, "success" if status == 200 else "failed", 2))
        await until(lambda: inbox_is_empty(app))

    assert {tuple(row) for row in before}.isdisjoint(tuple(row) for row in after)
    assert times(receiver, "/hook") == {0: 1, 1: 1}


async def test_an_event_that_has_the_place_of_one_that_is_gone_is_not_forgotten(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    await publish(app, tenant, 2)
    await app.db.execute("UPDATE webhook_event_inbox SET leased_by = 7")
    [gone, other] = await app.db.fetch("SELECT ctid AS row, event_id FROM webhook_event_inbox")

    await inbox_leases.forget(app.db, [(other["row"], gone["event_id"])], daemon_key=7)
    kept = await app.db.fetchval("SELECT count(*) FROM webhook_event_inbox")
    await inbox_leases.forget(app.db, [(gone["row"], gone["event_id"])], daemon_key=7)

    assert kept == 2
    assert await app.db.fetchval("SELECT event_id FROM webhook_event_inbox") == other["event_id"]
