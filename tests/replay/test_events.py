"""Events are replayed with their ids and bodies: those asked for and wanted, once each."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from daemon.core.model.cursor import Cursor
from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.replays import ReplayStatus
from daemon.replay import count as replay_count
from daemon.replay import selection
from daemon.replay.count import count_replay
from daemon.store import replays
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver
from tests.support.replays import (
    HOUR,
    KEPT_FOR,
    YESTERDAY,
    count,
    public_ids,
    received,
    request_for,
    start,
    store_events,
    until_ended,
)


async def test_events_are_sent_again_with_the_same_ids_and_bytes(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    async with serving(database):
        event = await app.event(tenant, text='{"b": 1.0, "a": "ü", "10": [1e21]}')
        await until(lambda: settled(app, webhook, "success", 1))
        replay = await start(app, request_for(webhook))
        replay = await until_ended(app, replay.id)

    first, second = receiver.received
    rows = await app.deliveries(webhook)
    assert first.body == second.body
    assert second.event["id"] == f"evt_{event.hex}"
    assert second.headers["webhook-id"] == f"evt_{event.hex}"
    assert (replay.status, replay.total, replay.sent) == (ReplayStatus.COMPLETED, 1, 1)
    assert replay.finished_at is not None
    assert [row["attempt_number"] for row in rows] == [1, 2]
    assert {row["replay_id"] for row in rows} == {None, replay.id}
    assert len({row["id"] for row in rows}) == 2


async def test_a_window_includes_its_start_and_excludes_its_end(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    moment = timedelta(microseconds=1)
    since, to = YESTERDAY, YESTERDAY + HOUR
    times = [since - moment, since, since + moment, to - moment, to, to + moment]
    ids = [(await store_events(app, tenant, 1, since=at))[0] for at in times]
    async with serving(database):
        counted = await count(app, request_for(webhook, since=since, to=to))
        replay = await start(app, request_for(webhook, since=since, to=to))
        await until_ended(app, replay.id)

    assert counted == 3
    assert received(receiver) == sorted(public_ids(ids[1:4]))


async def test_many_events_of_the_same_time_are_all_sent_once(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    ids = await store_events(app, tenant, 150, apart=timedelta())
    async with serving(database):
        replay = await start(app, request_for(webhook))
        await until_ended(app, replay.id)

    assert received(receiver) == sorted(public_ids(ids))


async def test_a_window_ends_at_the_time_of_the_request_at_the_latest(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    await store_events(app, tenant, 1, since=datetime.now(UTC) + HOUR)
    [past] = await store_events(app, tenant, 1)
    far = datetime.max.replace(tzinfo=UTC)
    first = datetime.min.replace(tzinfo=UTC)
    async with serving(database):
        replay = await start(app, request_for(webhook, since=first, to=far))
        replay = await until_ended(app, replay.id)

    assert received(receiver) == public_ids([past])
    assert replay.to_time < datetime.now(UTC)


@pytest.mark.parametrize(
    ("types", "sent"),
    [
        ((None, None), {"email.opened", "email.clicked", "contact.created", ""}),
        ((["email.*"], None), {"email.opened", "email.clicked"}),
        ((["*"], ["contact.*"]), {"contact.created"}),
        ((["email.opened", "contact.created"], ["email.*"]), {"email.opened"}),
        ((["email.sent"], None), set()),
        (([], ["email.clicked"]), {"email.clicked"}),
    ],
)
async def test_events_are_sent_whose_type_was_asked_for_and_is_subscribed_to(
    app: Application,
    database: str,
    receiver: Receiver,
    types: tuple[list[str] | None, list[str] | None],
    sent: set[str],
) -> None:
    asked, subscribed = types
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook", types=subscribed)
    for event_type in ("email.opened", "email.clicked", "contact.created"):
        await store_events(app, tenant, 3, type=event_type)
    [nameless] = await store_events(app, tenant, 1)
    await app.db.execute("UPDATE webhook_events SET event_type = NULL WHERE id = $1", nameless)
    async with serving(database):
        counted = await count(app, request_for(webhook, types=asked))
        replay = await until_ended(app, (await start(app, request_for(webhook, types=asked))).id)

    assert {request.event["type"] for request in receiver.received} == sent
    assert counted == replay.total == replay.sent == len(receiver.received)


async def test_a_filter_by_data_applies_to_replays_and_is_counted_page_by_page(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_count, "READ_AT_ONCE", 7)
    monkeypatch.setattr(selection, "DATA_READ_AT_ONCE", 3)
    tenant = await app.tenant()
    webhook = await app.webhook(
        tenant, receiver.url + "/hook", filters={"campaign_ids": ["camp_1"]}
    )
    ours = []
    for hours in range(5):
        since = YESTERDAY + hours * HOUR
        ours += await store_events(app, tenant, 7, data='{"campaign_id":"camp_1"}', since=since)
        await store_events(app, tenant, 9, data='{"campaign_id":"camp_2"}', since=since)
    async with serving(database):
        counted = await count(app, request_for(webhook))
        await until_ended(app, (await start(app, request_for(webhook))).id)

    assert counted == 35
    assert received(receiver) == sorted(public_ids(ours))


async def test_other_tenants_events_and_webhooks_are_not_found(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant, other = await app.tenant(), await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    theirs = await app.webhook(other, receiver.url + "/theirs")
    ours = await store_events(app, tenant, 5)
    await store_events(app, other, 5)
    async with serving(database):
        replay = await start(app, request_for(webhook, tenant=tenant))
        await until_ended(app, replay.id)
        stranger = TenantId(other)

        for unknown in (request_for(theirs, tenant=tenant), request_for(uuid4())):
            assert await count_replay(app.db, unknown, kept_for=KEPT_FOR) is None
        assert await replays.get(app.db, stranger, replay.id) is None
        assert await replays.cancel(app.db, stranger, replay.id) is None
        listed = await replays.list_page(
            app.db, stranger, webhook_id=WebhookId(webhook), before=Cursor(), limit=9
        )
        assert listed == ([], None)

    assert received(receiver) == sorted(public_ids(ours))
    assert receiver.at("/theirs") == []
