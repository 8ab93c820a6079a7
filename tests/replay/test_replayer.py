"""Stored events once more: the same ids and bodies, nothing skipped, nothing made twice."""

from collections import Counter
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from daemon.core.errors import UnusableFilterError
from daemon.core.model.ids import ReplayId, TenantId, WebhookId
from daemon.core.model.replays import ReplaySource, ReplayStatus
from daemon.replay import count as replay_count
from daemon.replay import selection
from daemon.replay.count import count_replay
from daemon.store import replay_candidates, replays
from tests.pipeline.test_delivery import SHORT, settled
from tests.support.aged_rows import many_deliveries
from tests.support.application import Application
from tests.support.daemons import metrics_of, serving, until
from tests.support.postgres import most_rows_read
from tests.support.receiver import Receiver, Reply
from tests.support.replays import (
    YESTERDAY,
    begin,
    cancel,
    count,
    look,
    on_the_wire,
    over,
    store_events,
    wanted,
)

HOUR = timedelta(hours=1)


def received(receiver: Receiver, path: str = "/hook") -> list[str]:
    """The events' ids in order, so that those that came twice show."""
    return sorted(request.event["id"] for request in receiver.at(path))


async def set_active(app: Application, webhook: UUID, active: bool) -> None:
    await app.db.execute("UPDATE webhooks SET is_active = $2 WHERE id = $1", webhook, active)


# What is sent.


async def test_events_are_sent_again_under_their_ids_with_the_same_bytes(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    async with serving(database):
        event = await app.event(tenant, text='{"b": 1.0, "a": "ü", "10": [1e21]}')
        await until(lambda: settled(app, webhook, "success", 1))
        replay = await begin(app, wanted(webhook))
        replay = await over(app, replay.id)

    first, second = receiver.received
    rows = await app.deliveries(webhook)
    assert first.body == second.body
    assert second.event["id"] == f"evt_{event.hex}"
    assert second.headers["webhook-id"] == f"evt_{event.hex}"
    assert (replay.status, replay.total, replay.sent) == (ReplayStatus.COMPLETED, 1, 1)
    assert replay.finished_at is not None
    assert [row["attempt_number"] for row in rows] == [1, 1]
    assert {row["replay_id"] for row in rows} == {None, replay.id}
    assert len({row["id"] for row in rows}) == 2


async def test_a_window_begins_with_its_first_moment_and_ends_before_its_last(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    moment = timedelta(microseconds=1)
    since, to = YESTERDAY, YESTERDAY + HOUR
    times = [since - moment, since, since + moment, to - moment, to, to + moment]
    ids = [(await store_events(app, tenant, 1, since=at))[0] for at in times]
    async with serving(database):
        counted = await count(app, wanted(webhook, since=since, to=to))
        replay = await begin(app, wanted(webhook, since=since, to=to))
        await over(app, replay.id)

    assert counted == 3
    assert received(receiver) == sorted(on_the_wire(ids[1:4]))


async def test_many_events_of_one_moment_are_all_sent_once(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    ids = await store_events(app, tenant, 150, apart=timedelta())
    async with serving(database):
        replay = await begin(app, wanted(webhook))
        await over(app, replay.id)

    assert received(receiver) == sorted(on_the_wire(ids))


async def test_a_replay_ends_at_the_moment_it_was_asked_for(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    await store_events(app, tenant, 1, since=datetime.now(UTC) + HOUR)
    [past] = await store_events(app, tenant, 1)
    far = datetime.max.replace(tzinfo=UTC)
    first = datetime.min.replace(tzinfo=UTC)
    async with serving(database):
        replay = await begin(app, wanted(webhook, since=first, to=far))
        replay = await over(app, replay.id)

    assert received(receiver) == on_the_wire([past])
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
async def test_of_the_types_that_the_webhook_takes_those_are_sent_that_were_asked_for(
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
        counted = await count(app, wanted(webhook, types=asked))
        replay = await over(app, (await begin(app, wanted(webhook, types=asked))).id)

    assert {request.event["type"] for request in receiver.received} == sent
    assert counted == replay.total == replay.sent == len(receiver.received)


async def test_a_filter_on_the_data_holds_for_replays_and_is_counted_page_by_page(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_count, "READ_AT_ONCE", 7)
    monkeypatch.setattr(selection, "DATA_READ_AT_ONCE", 3)
    tenant = await app.tenant()
    webhook = await app.webhook(
        tenant, receiver.url + "/hook", filters={"campaign_ids": ["camp_1"]}
    )
    ours = []
    for start in range(5):
        since = YESTERDAY + start * HOUR
        ours += await store_events(app, tenant, 7, data='{"campaign_id":"camp_1"}', since=since)
        await store_events(app, tenant, 9, data='{"campaign_id":"camp_2"}', since=since)
    async with serving(database):
        counted = await count(app, wanted(webhook))
        await over(app, (await begin(app, wanted(webhook))).id)

    assert counted == 35
    assert received(receiver) == sorted(on_the_wire(ours))


async def test_another_tenant_s_events_and_webhooks_are_out_of_reach(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant, other = await app.tenant(), await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    theirs = await app.webhook(other, receiver.url + "/theirs")
    ours = await store_events(app, tenant, 5)
    await store_events(app, other, 5)
    async with serving(database):
        replay = await begin(app, wanted(webhook, tenant=tenant))
        await over(app, replay.id)
        strange = TenantId(other)

        assert await count_replay(app.db, wanted(theirs, tenant=tenant)) is None
        assert await count_replay(app.db, wanted(uuid4())) is None
        assert await replays.get(app.db, strange, replay.id) is None
        assert await replays.cancel(app.db, strange, replay.id) is None
        assert await replays.list_for(app.db, strange, WebhookId(webhook)) == []

    assert received(receiver) == sorted(on_the_wire(ours))
    assert receiver.at("/theirs") == []


async def test_a_webhook_whose_filter_cannot_be_understood_is_told_so(app: Application) -> None:
    webhook = await app.webhook(await app.tenant(), "https://a.example", filters={"colour": 1})

    with pytest.raises(UnusableFilterError, match=r"wants no event: event_filters: .*colour"):
        await count_replay(app.db, wanted(webhook))


async def test_a_deleted_webhook_takes_its_replays_along(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    counted = await count_replay(app.db, wanted(webhook))
    assert counted is not None
    replay = await begin(app, wanted(webhook))
    await app.db.execute("DELETE FROM webhooks WHERE id = $1", webhook)

    assert await replays.create(app.db, counted) is None
    assert await replays.get(app.db, None, replay.id) is None
    assert await replays.cancel(app.db, None, replay.id) is None


async def test_a_count_goes_through_years_without_looking_at_every_day(app: Application) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, "https://a.example")
    for year in (1850, 1990, 2025):
        await store_events(app, tenant, 2, since=datetime(year, 6, 1, tzinfo=UTC))
    asked = 0

    def note(_: object) -> None:
        nonlocal asked
        asked += 1

    with app.db.query_logger(note):
        counted = await count(app, wanted(webhook, since=datetime(1800, 1, 1, tzinfo=UTC)))

    assert counted == 6
    assert asked < 25


@pytest.mark.parametrize("source", ReplaySource)
async def test_no_statement_of_a_count_reads_more_than_a_page(
    app: Application, monkeypatch: pytest.MonkeyPatch, source: ReplaySource
) -> None:
    monkeypatch.setattr(replay_candidates, "COUNTED_AT_ONCE", 50)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, "https://a.example")
    for event_type in ("email.opened", "email.clicked", "email.bounced"):
        await store_events(app, tenant, 40, type=event_type)
        await store_events(app, tenant, 40, type=event_type, apart=timedelta())
    await store_events(app, await app.tenant(), 100)
    for status in ("success", "failed"):
        await many_deliveries(app, webhook, 120, at=f"'{YESTERDAY}'", status=status)
    await app.db.execute("UPDATE webhook_deliveries SET event_type = 'email.opened'")
    asked: list[Any] = []
    with app.db.query_logger(asked.append):
        counted = await count(app, wanted(webhook, source=source, types=["email.*"]))
        opened = await count(app, wanted(webhook, source=source, types=["email.opened"]))

    whole = {ReplaySource.EVENTS: (240, 80), ReplaySource.EXHAUSTED: (120, 120)}[source]
    selects = [each for each in asked if "FROM webhook_" in each.query]
    assert (counted, opened) == whole
    for each in selects:
        assert await most_rows_read(app.db, each.query, *each.args) <= 50


# How it goes on.


async def test_a_paused_webhook_s_replay_waits_and_goes_on_when_it_is_resumed(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(after=0.01)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    ids = await store_events(app, tenant, 200)
    async with serving(database):
        replay = await begin(app, wanted(webhook))
        await until(lambda: len(receiver.received) >= 20)
        await set_active(app, webhook, False)
        await until(lambda: _nothing_leased(app))
        waiting, sent = await look(app, replay.id), len(receiver.received)
        await set_active(app, webhook, True)
        replay = await over(app, replay.id)

    assert (waiting.status, waiting.paused, waiting.sent) == (ReplayStatus.RUNNING, True, sent)
    assert 20 <= sent < 200
    assert received(receiver) == sorted(on_the_wire(ids))
    assert not replay.paused


async def _nothing_leased(app: Application) -> bool:
    leased = await app.db.fetchval(
        "SELECT count(*) FROM webhook_deliveries WHERE leased_until IS NOT NULL"
    )
    return bool(leased == 0)


async def test_what_came_while_it_was_paused_is_sent_by_a_replay(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    witness = await app.webhook(tenant, receiver.url + "/witness")
    async with serving(database):
        await set_active(app, webhook, False)
        paused_at = datetime.now(UTC) - HOUR
        missed = await app.events(tenant, 30)
        await until(lambda: settled(app, witness, "success", 30))
        await set_active(app, webhook, True)
        replay = await begin(app, wanted(webhook, since=paused_at))
        await over(app, replay.id)

    assert received(receiver) == sorted(on_the_wire(missed))


async def test_a_replay_waits_while_the_webhook_s_filter_cannot_be_understood(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(after=0.01)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    ids = await store_events(app, tenant, 200)
    change = "UPDATE webhooks SET event_filters = $2 WHERE id = $1"
    async with serving(database):
        replay = await begin(app, wanted(webhook))
        await until(lambda: len(receiver.received) >= 20)
        await app.db.execute(change, webhook, '{"colour": "blue"}')
        await until(lambda: _nothing_leased(app))
        half_way = await look(app, replay.id)
        await app.db.execute(change, webhook, None)
        await over(app, replay.id)

    assert (half_way.status, half_way.sent < 200) == (ReplayStatus.RUNNING, True)
    assert received(receiver) == sorted(on_the_wire(ids))


async def test_a_failing_endpoint_is_sent_one_at_a_time_and_attempts_follow_the_schedule(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500, after=0.02)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    await app.db.execute("UPDATE webhooks SET consecutive_failures = 1 WHERE id = $1", webhook)
    ids = await store_events(app, tenant, 10)
    async with serving(database, delivery={"retry_schedule": ["1h"]}):
        replay = await begin(app, wanted(webhook))
        replay = await over(app, replay.id)

    rows = await app.deliveries(webhook)
    firsts = [row for row in rows if row["attempt_number"] == 1]
    seconds = [row for row in rows if row["attempt_number"] == 2]
    assert receiver.open_most == 1
    assert received(receiver) == sorted(on_the_wire(ids))
    assert {row["status"] for row in firsts} == {"failed"}
    assert {row["status"] for row in seconds} == {"pending_retry"}
    assert (len(seconds), replay.sent) == (10, 10)


async def test_several_replays_go_on_side_by_side_and_are_counted(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhooks = [await app.webhook(tenant, f"{receiver.url}/{n}") for n in range(8)]
    ids = await store_events(app, tenant, 40)
    async with serving(database, delivery={"concurrency": 8}) as service:
        begun = [await begin(app, wanted(webhook)) for webhook in webhooks]
        ended = [await over(app, replay.id) for replay in begun]
        page = await metrics_of(service)

    assert {replay.status for replay in ended} == {ReplayStatus.COMPLETED}
    for number in range(8):
        assert received(receiver, f"/{number}") == sorted(on_the_wire(ids))
    assert "webhookd_replayed_deliveries_total 320.0" in page
    assert "webhookd_commit_to_send_seconds_count 0.0" in page  # they are old, and not late


async def test_what_is_under_way_is_never_more_than_half_of_the_endpoint_s_places(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(after=0.05)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    ids = await store_events(app, tenant, 80)
    async with serving(database, delivery={"per_endpoint": 8}):
        await over(app, (await begin(app, wanted(webhook))).id)

    assert receiver.open_most <= 4
    assert received(receiver) == sorted(on_the_wire(ids))


async def test_progress_grows_from_nothing_to_all_of_it(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(after=0.01)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    await store_events(app, tenant, 100)
    first = await begin(app, wanted(webhook))
    seen = [first]
    async with serving(database):
        while seen[-1].status is ReplayStatus.RUNNING:
            seen.append(await look(app, first.id))

    assert (first.begun, first.sent, seen[-1].begun) == (False, 0, True)
    assert [each.sent for each in seen] == sorted(each.sent for each in seen)
    assert {each.total for each in seen} == {100}
    assert seen[-1].sent == 100


async def test_two_daemons_share_a_replay_and_double_nothing(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(after=0.005)
    tenant = await app.tenant()
    webhooks = [await app.webhook(tenant, f"{receiver.url}/{n}") for n in range(3)]
    ids = await store_events(app, tenant, 400)
    async with AsyncExitStack() as stack:
        services = [await stack.enter_async_context(serving(database)) for _ in range(2)]
        begun = [await begin(app, wanted(webhook)) for webhook in webhooks]
        for replay in begun:
            await over(app, replay.id)
        pages = [await metrics_of(service) for service in services]

    for number in range(3):
        assert received(receiver, f"/{number}") == sorted(on_the_wire(ids))
    shares = [_value(page, "webhookd_replayed_deliveries_total") for page in pages]
    assert sum(shares) == 1200
    assert min(shares) > 0


def _value(page: str, name: str) -> float:
    [line] = [line for line in page.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])


async def test_a_replay_goes_on_where_the_daemon_before_left_it(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(after=0.01)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    ids = await store_events(app, tenant, 300)
    replay = await begin(app, wanted(webhook))
    for share in (60, 120):
        async with serving(database):
            await until(lambda share=share: len(receiver.received) >= share)
    between = await look(app, replay.id)
    async with serving(database):
        await over(app, replay.id)

    assert (between.status, between.sent < 300) == (ReplayStatus.RUNNING, True)
    assert received(receiver) == sorted(on_the_wire(ids))


# Cancelled.


async def test_a_cancelled_replay_loses_nothing_that_was_begun_and_begins_nothing_more(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    await store_events(app, tenant, 1000)
    async with serving(database):
        replay = await begin(app, wanted(webhook))
        await until(lambda: len(receiver.received) >= 50)
        receiver.answer = lambda _: Reply(after=0.5)
        await until(lambda: receiver.open_now >= 2)
        cancelled = await cancel(app, replay.id)
        await until(lambda: _nothing_pending(app))
        ended = await look(app, replay.id)
        again = await cancel(app, replay.id)

    stored = Counter(row["status"] for row in await app.deliveries(webhook))
    assert cancelled.status is ReplayStatus.CANCELLED
    assert cancelled.sent < ended.sent < 1000
    assert stored == {"success": ended.sent}
    assert len(receiver.received) == ended.sent
    assert again == ended


async def _nothing_pending(app: Application) -> bool:
    pending = await app.db.fetchval(
        "SELECT count(*) FROM webhook_deliveries WHERE status = 'pending_retry'"
    )
    return bool(pending == 0)


async def test_what_was_made_for_a_paused_webhook_and_not_begun_goes_with_its_replay(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    await store_events(app, tenant, 5)
    replay = await begin(app, wanted(webhook))
    made = (
        "INSERT INTO webhook_deliveries (webhook_id, event_id, event_created_at, replay_id,"
        " leased_until) VALUES ($1, gen_random_uuid(), now(), $2, $3)"
    )
    await app.db.execute(made, webhook, replay.id, None)
    await app.db.execute(made, webhook, replay.id, YESTERDAY)  # begun by one that has died since
    await app.db.execute(made, webhook, None, None)
    await app.db.execute("UPDATE webhook_replays SET made = 2 WHERE id = $1", replay.id)

    cancelled = await cancel(app, replay.id)

    left = [(row["replay_id"], row["leased_until"]) for row in await app.deliveries(webhook)]
    assert cancelled.sent == 0
    assert sorted(left, key=str) == sorted([(None, None), (replay.id, YESTERDAY)], key=str)


async def test_a_replay_that_is_over_cannot_be_cancelled(
    app: Application, database: str, receiver: Receiver
) -> None:
    webhook = await app.webhook(await app.tenant(), receiver.url)
    async with serving(database):
        replay = await over(app, (await begin(app, wanted(webhook))).id)

    assert await cancel(app, replay.id) == replay
    assert (replay.status, replay.total, replay.sent) == (ReplayStatus.COMPLETED, 0, 0)
    assert await replays.cancel(app.db, None, ReplayId(uuid4())) is None


async def test_a_webhook_s_replays_are_listed_newest_first(app: Application) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, "https://a.example")
    begun = [await begin(app, wanted(webhook)) for _ in range(3)]

    listed = await replays.list_for(app.db, TenantId(tenant), WebhookId(webhook), limit=2)

    assert listed == [begun[2], begun[1]]


# Deliveries that were given up.


async def test_exhausted_deliveries_are_made_again_and_no_others(
    app: Application, database: str, receiver: Receiver
) -> None:
    healed = False
    receiver.answer = lambda it: Reply(200 if healed or it.event["data"]["n"] == 0 else 500)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    exhausted = wanted(webhook, source=ReplaySource.EXHAUSTED)
    async with serving(database, delivery={"retry_schedule": ["10ms"]}):
        events = [await app.event(tenant, {"n": n}) for n in range(6)]
        await until(lambda: settled(app, webhook, "failed", 10))
        await until(lambda: _nothing_pending(app))
        healed = True
        opened = await count(app, wanted(webhook, source=ReplaySource.EXHAUSTED, types=["email.*"]))
        clicked = await count(app, wanted(webhook, source=ReplaySource.EXHAUSTED, types=["x"]))
        await app.db.execute("DELETE FROM webhook_events")
        replay = await over(app, (await begin(app, exhausted)).id)
        nothing_left = await count(app, exhausted)

    times = Counter(received(receiver))
    bodies = {request.event["id"]: set[bytes]() for request in receiver.received}
    for request in receiver.received:
        bodies[request.event["id"]].add(request.body)
    replayed = [row for row in await app.deliveries(webhook) if row["replay_id"]]
    assert (opened, clicked, replay.total, replay.sent, nothing_left) == (5, 0, 5, 5, 0)
    assert times == dict(zip(on_the_wire(events), [1, 3, 3, 3, 3, 3], strict=True))
    assert all(len(each) == 1 for each in bodies.values())
    assert {(row["attempt_number"], row["status"]) for row in replayed} == {(3, "success")}


async def test_of_an_event_s_chains_only_the_last_attempt_is_made_again(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    async with serving(database, delivery={"retry_schedule": ["10ms"]}):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "failed", 2))
        await over(app, (await begin(app, wanted(webhook))).id)
        await until(lambda: settled(app, webhook, "failed", 4))
        await until(lambda: _nothing_pending(app))
        receiver.answer = lambda _: Reply()
        exhausted = wanted(webhook, source=ReplaySource.EXHAUSTED)
        replay = await over(app, (await begin(app, exhausted)).id)

    assert (replay.total, replay.sent) == (1, 1)
    assert len(receiver.received) == 5


async def test_a_page_of_exhausted_deliveries_is_read_without_the_rest_of_its_moment(
    app: Application,
) -> None:
    webhook = await app.webhook(await app.tenant(), "https://a.example")
    await many_deliveries(app, webhook, 3000, at=f"'{YESTERDAY}'", status="failed")
    page = (webhook, YESTERDAY, UUID(int=0), YESTERDAY + HOUR, 100)

    assert await most_rows_read(app.db, replay_candidates.SELECT_ATTEMPTS, *page) == 100


async def test_what_still_waits_for_a_retry_is_not_exhausted(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    async with serving(database):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "failed", 1))

    assert await count(app, wanted(webhook, source=ReplaySource.EXHAUSTED)) == 0


async def test_a_window_of_exhausted_deliveries_goes_by_their_last_attempt(
    app: Application, database: str, receiver: Receiver
) -> None:
    webhook = await app.webhook(await app.tenant(), receiver.url + "/hook")
    moment = timedelta(microseconds=1)
    since, to = YESTERDAY, YESTERDAY + HOUR
    times = [since - moment, since, to - moment, to]
    for number, at in enumerate(times):
        await app.db.execute(
            "INSERT INTO webhook_deliveries (webhook_id, event_id, event_type, payload, status,"
            " attempted_at, attempt_number, event_created_at, next_retry_at)"
            " VALUES ($1, $2, 'a.b', '{}', 'failed', $3, 6, $3, NULL)",
            *(webhook, UUID(int=number), at),
        )
    window = wanted(webhook, source=ReplaySource.EXHAUSTED, since=since, to=to)
    async with serving(database, delivery=SHORT):
        counted = await count(app, window)
        await over(app, (await begin(app, window)).id)

    assert counted == 2
    assert received(receiver) == on_the_wire([UUID(int=1), UUID(int=2)])


async def test_a_replay_to_slow_endpoints_leaves_others_their_part(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda request: Reply(after=1.0 if request.path == "/slow" else 0.0)
    one, other = await app.tenant(), await app.tenant()
    await store_events(app, one, 500)
    await store_events(app, other, 20)
    slow = [await app.webhook(one, receiver.url + "/slow") for _ in range(3)]
    quick = await app.webhook(other, receiver.url + "/quick")
    async with serving(database, delivery={"concurrency": 32}):
        ahead = [await begin(app, wanted(webhook)) for webhook in slow]
        await until(lambda: receiver.open_now >= 6)
        await over(app, (await begin(app, wanted(quick))).id)
        most = receiver.open_now
        standing = {(await look(app, each.id)).status for each in ahead}

    assert len(receiver.at("/quick")) == 20
    assert standing == {ReplayStatus.RUNNING}
    assert most <= 8  # a quarter of the places


async def test_hundreds_of_replays_that_get_nowhere_hide_no_other(
    app: Application, database: str, receiver: Receiver
) -> None:
    one, other = await app.tenant(), await app.tenant()
    await store_events(app, one, 5)
    await store_events(app, other, 5)
    for _ in range(220):
        stuck = await app.webhook(one, receiver.url + "/stuck")
        await begin(app, wanted(stuck))
    await app.db.execute("""UPDATE webhooks SET event_filters = '{"filters": 5}'""")
    quick = await app.webhook(other, receiver.url + "/quick")
    async with serving(database):
        ended = await over(app, (await begin(app, wanted(quick))).id)

    assert (ended.status, ended.sent) == (ReplayStatus.COMPLETED, 5)
    assert receiver.at("/stuck") == []
