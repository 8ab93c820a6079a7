"""Replays whose filters compare large data are exact, and others go on beside them."""

import asyncio
import threading
from collections.abc import Iterator
from secrets import token_hex
from typing import Any
from uuid import UUID

import pytest

from daemon.core.model.replays import ReplayStatus
from daemon.core.wire.json_value import parse_matched
from daemon.replay import decisions
from daemon.store import event_data_reader, replay_batches
from daemon.store.payload_size import FETCHED_AT_ONCE
from daemon.store.replay_batches import Made
from tests.support.api_client import serving_api
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import nothing_pending
from tests.support.receiver import Receiver
from tests.support.replays import (
    YESTERDAY,
    get_replay,
    public_ids,
    received,
    request_for,
    start,
    store_events,
    until_ended,
)

FILTERS = {"campaign_ids": ["camp_1"]}
OURS, THEIRS = '{"campaign_id":"camp_1"}', '{"campaign_id":"camp_2"}'


def large(data: str) -> str:
    """The same with an array that makes it large."""
    return f'{data[:-1]},"list":[{",".join(["1"] * FETCHED_AT_ONCE)}]}}'


class Parsing:
    """Large data are parsed once `may_end` is set; `begun` counts how often that began."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.begun = 0

    def parse(self, text: str | None) -> object:
        if len(text or "") > FETCHED_AT_ONCE:
            self.begun += 1
            self.may_end.wait(60)
        return parse_matched(text)


@pytest.fixture
def parsing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Parsing]:
    parsing = Parsing()
    monkeypatch.setattr(event_data_reader, "parse_matched", parsing.parse)
    yield parsing
    parsing.may_end.set()


async def webhook_with(
    app: Application, url: str, *data: str, tenant: UUID | None = None
) -> tuple[UUID, UUID, list[UUID]]:
    """A webhook that filters by data, its tenant, and the tenant's events."""
    tenant = tenant or await app.tenant()
    events = [(await store_events(app, tenant, 1, data=each))[0] for each in data]
    return await app.webhook(tenant, url, filters=FILTERS), tenant, events


async def test_a_replay_goes_on_beside_those_whose_large_data_are_parsed(
    app: Application, database: str, receiver: Receiver, parsing: Parsing
) -> None:
    parsing.may_end.set()
    slow = []
    for n in range(3):
        webhook, _, events = await webhook_with(
            *(app, f"{receiver.url}/slow/{n}"), OURS, large(OURS), large(THEIRS)
        )
        slow.append((await start(app, request_for(webhook)), events))
    quick, _, ours = await webhook_with(app, receiver.url + "/quick", *[OURS] * 5, *[THEIRS] * 5)
    parsing.may_end.clear()
    parsing.begun = 0
    async with serving(database):
        await until(lambda: parsing.begun == 1)
        ended = await until_ended(app, (await start(app, request_for(quick))).id)
        statuses = {(await get_replay(app, each.id)).status for each, _ in slow}
        parsing.may_end.set()
        slowly_ended = [await until_ended(app, each.id) for each, _ in slow]

    assert (ended.status, ended.sent) == (ReplayStatus.COMPLETED, 5)
    assert received(receiver, "/quick") == sorted(public_ids(ours[:5]))
    assert statuses == {ReplayStatus.RUNNING}
    assert [each.sent for each in slowly_ended] == [2, 2, 2]
    for n, (_, events) in enumerate(slow):
        assert received(receiver, f"/slow/{n}") == sorted(public_ids(events[:2]))


async def test_a_count_goes_on_beside_those_whose_large_data_are_parsed(
    app: Application, database: str, parsing: Parsing
) -> None:
    url = "http://127.0.0.1:9/"
    slow = [await webhook_with(app, url, OURS, large(OURS), large(THEIRS)) for _ in range(4)]
    quick, tenant, _ = await webhook_with(app, url, OURS, THEIRS)
    since = {"from": YESTERDAY.isoformat(), "dryRun": True}
    async with serving_api(database, tenant) as api, asyncio.TaskGroup() as group:
        counts = [
            group.create_task(
                api.as_tenant(each).post("/api/replays", {"webhookId": str(webhook)} | since)
            )
            for webhook, each, _ in slow
        ]
        await until(lambda: parsing.begun == 1)
        counted = await api.post("/api/replays", {"webhookId": str(quick)} | since)
        ended_before = [each.done() for each in counts]
        parsing.may_end.set()

    assert counted.json["total"] == 1
    assert ended_before == [False] * 4
    assert [each.result().json["total"] for each in counts] == [2] * 4


async def test_a_replay_of_large_events_is_exact_over_restarts(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "READ_SECONDS", 0.0)  # one large event in a piece
    data = [OURS, large(THEIRS), large(OURS), THEIRS, large(OURS)] * 4
    webhook, _, events = await webhook_with(app, receiver.url + "/hook", *data)
    ours = [each for each, its in zip(events, data, strict=True) if "camp_1" in its]
    replay = await start(app, request_for(webhook))
    for share in (3, 6):
        async with serving(database):
            await until(lambda share=share: len(receiver.received) >= share)
    between = await get_replay(app, replay.id)
    async with serving(database):
        replay = await until_ended(app, replay.id)

    assert (between.status, between.sent < len(ours)) == (ReplayStatus.RUNNING, True)
    assert (replay.total, replay.sent) == (len(ours), len(ours))
    assert received(receiver) == sorted(public_ids(ours))


async def test_what_a_former_filter_decided_is_not_sent(
    app: Application, database: str, receiver: Receiver, parsing: Parsing
) -> None:
    parsing.may_end.set()
    webhook, _, [_, after] = await webhook_with(
        app, receiver.url + "/hook", large(OURS), large(THEIRS)
    )
    replay = await start(app, request_for(webhook))
    parsing.may_end.clear()
    parsing.begun = 0
    async with serving(database):
        await until(lambda: parsing.begun == 1)
        await app.db.execute(
            "UPDATE webhooks SET event_filters = $2 WHERE id = $1",
            *(webhook, '{"campaign_ids": ["camp_2"]}'),
        )
        parsing.may_end.set()
        replay = await until_ended(app, replay.id)

    assert received(receiver) == public_ids([after])
    assert replay.sent == 1


async def test_data_that_can_never_be_sent_are_not_copied(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The largest data that may be sent are; both attempts say what became of them."""
    copied: list[int] = []
    original = replay_batches.make

    async def make(*arguments: Any, **options: Any) -> Made:
        made = await original(*arguments, **options)
        copied.append(made.copied_bytes)
        return made

    monkeypatch.setattr(replay_batches, "make", make)
    webhook = await app.webhook(tenant := await app.tenant(), receiver.url + "/hook")
    fitting, beyond = (f'{{"a":"{token_hex(size // 2)}"}}' for size in (900, 100_000))
    [sent] = await store_events(app, tenant, 1, data=fitting)
    await store_events(app, tenant, 1, data=beyond)
    async with serving(database, delivery={"max_body_bytes": 1024}):
        ended = await until_ended(app, (await start(app, request_for(webhook))).id)
        await until(lambda: nothing_pending(app))

    rows = await app.deliveries(webhook)
    assert received(receiver, "/hook") == public_ids([sent])
    assert ended.sent == 2
    assert sum(copied) < 2000
    assert sorted(each["status"] for each in rows) == ["failed", "success"]
    assert [each["too_large"] for each in rows if each["status"] == "failed"] == [True]
