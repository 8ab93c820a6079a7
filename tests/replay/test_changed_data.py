"""What was sent first is sent again, whatever the application has made of the event since."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver
from tests.support.replays import HOUR, counts, request_for, start, until_ended

CHANGE = """UPDATE webhook_events SET event_data = '{"n": 2}'"""
SINCE = datetime.now(UTC) - HOUR


async def test_a_replay_sends_what_was_sent_first_while_a_delivery_of_it_is_kept(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    other = await app.webhook(tenant, receiver.url + "/other", types=["other"])
    async with serving(database):
        await app.event(tenant, {"n": 1})
        await until(lambda: settled(app, webhook, "success", 1))
        await app.db.execute(CHANGE)
        await app.db.execute("UPDATE webhooks SET event_types = NULL")
        ended = [
            await until_ended(app, (await start(app, request_for(each, since=SINCE))).id)
            for each in (webhook, other)
        ]
        kept = (await counts(app, request_for(webhook, since=SINCE))).changed
        await app.db.execute("DELETE FROM webhook_deliveries")
        lost = (await counts(app, request_for(webhook, since=SINCE))).changed
        last = await until_ended(app, (await start(app, request_for(webhook, since=SINCE))).id)

    bodies = [request.body for request in receiver.received]
    assert [request.event["data"]["n"] for request in receiver.received] == [1, 1, 1, 2]
    assert bodies[0] == bodies[1] == bodies[2]
    assert ([each.changed for each in ended], kept, lost, last.changed) == ([0, 0], 0, 1, 1)


async def changed_at(app: Application, event: UUID) -> object:
    return await app.db.fetchval("SELECT data_changed_at FROM webhook_events WHERE id = $1", event)


@pytest.mark.parametrize(
    "update",
    [
        "event_type = 'other'",
        "event_data = event_data",
        """event_data = '{"b": [1], "a": 1.0}'""",
        "created_at = now()",
    ],
)
async def test_an_update_that_leaves_the_data_as_they_were_is_no_change(
    app: Application, update: str
) -> None:
    event = await app.event(await app.tenant(), text='{"a": 1, "b": [1]}')

    await app.db.execute(f"UPDATE webhook_events SET {update}")

    assert await changed_at(app, event) is None


async def test_data_that_are_written_in_the_event_s_own_transaction_were_never_others(
    app: Application,
) -> None:
    async with app.db.transaction():
        event = await app.event(await app.tenant(), {"n": 1})
        await app.db.execute(CHANGE)
    before = await changed_at(app, event)
    await app.db.execute("""UPDATE webhook_events SET event_data = NULL""")

    assert before is None
    assert await changed_at(app, event) is not None
