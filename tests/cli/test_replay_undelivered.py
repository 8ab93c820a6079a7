"""`webhookd replay` leaves out what the webhook has had; `retry --replay` takes up what failed."""

import asyncio
import json
import re
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from daemon.core.model.ids import ReplayId
from tests.support.application import Application
from tests.support.commandline import CompletedCommand, webhookd
from tests.support.daemons import serving
from tests.support.deliveries import insert_delivery
from tests.support.receiver import Receiver, Reply
from tests.support.replays import YESTERDAY, get_replay, received, store_events, until_ended

DAY = f"{YESTERDAY:%F}"


async def tenant_of(app: Application, webhook: UUID) -> UUID:
    found = await app.db.fetchval("SELECT tenant_id FROM webhooks WHERE id = $1", webhook)
    return UUID(str(found))


async def delivered_before(app: Application, webhook: UUID, *, of: int, count: int) -> list[UUID]:
    events = await store_events(app, await tenant_of(app, webhook), of)
    for event in events[:count]:
        await insert_delivery(app, webhook, event_id=event, status="success", next_retry_at=None)
    return events


async def test_by_default_only_what_the_webhook_has_not_had_is_sent(
    tmp_path: Path, database: str, app: Application, receiver: Receiver, webhook: UUID
) -> None:
    env = {"DATABASE_URL": database}
    events = await delivered_before(app, webhook, of=12, count=5)
    arguments = ("replay", "--webhook", str(webhook), "--from", DAY)
    dry, all_dry, as_json = await asyncio.gather(
        webhookd(*arguments, "--dry-run", folder=tmp_path, env=env),
        webhookd(*arguments, "--dry-run", "--all", folder=tmp_path, env=env),
        webhookd(*arguments, "--dry-run", "--only-undelivered", "--json", folder=tmp_path, env=env),
    )
    async with serving(database):
        sent = await webhookd(*arguments, folder=tmp_path, env=env)
        nothing = await webhookd(*arguments, folder=tmp_path, env=env)

    note = (
        "webhookd: 5 of the 12 events were delivered before and are left out; --all sends them"
        " again\n"
    )
    assert dry == CompletedCommand(0, "7 events; 5 others were delivered before\n", note)
    assert all_dry == CompletedCommand(0, "12 events; 5 of them were delivered before\n", "")
    assert json.loads(as_json.out) == {
        "total": 7,
        "deliveredBefore": 5,
        "unknown": 0,
        "changed": 0,
        "reason": None,
    }
    assert (sent.code, sent.err) == (0, note)
    assert sent.out.splitlines()[1:] == ["completed: 7 of 7 sent; 7 delivered, 0 failed, 0 waiting"]
    assert received(receiver, receiver.received[0].path) == sorted(
        f"evt_{event.hex}" for event in events[5:]
    )
    assert nothing.out == "0 events: all 12 events were delivered before\n"


@pytest.mark.full
async def test_the_same_replay_is_not_started_twice_and_its_failures_are_retried(
    tmp_path: Path, database: str, app: Application, receiver: Receiver, webhook: UUID
) -> None:
    receiver.answer = lambda _: Reply(500)
    env = {"DATABASE_URL": database, "WEBHOOKD_DELIVERY__FAILING_BACKOFF": "0s"}
    await store_events(app, await tenant_of(app, webhook), 3)
    arguments = ("replay", "--webhook", str(webhook), "--from", DAY, "--no-wait")
    begun = await webhookd(*arguments, folder=tmp_path, env=env)
    again = await webhookd(*arguments, folder=tmp_path, env=env)
    [replay] = re.findall(r"replay ([0-9a-f-]{36}): 3 events", begun.out)
    delivery = {"retry_schedule": [], "failing_backoff": "0s"}
    retry = ("retry", "--replay")
    async with serving(database, delivery=delivery):
        await until_ended(app, ReplayId(UUID(replay)))
        failed = await webhookd("replay", "--status", replay, folder=tmp_path, env=env)
        receiver.answer = lambda _: Reply(200)
        retried = await webhookd(*retry, replay, "--json", folder=tmp_path, env=env)
        second = ReplayId(UUID(json.loads(retried.out)["replayId"]))
        await until_ended(app, second)
        nothing = await webhookd(*retry, replay, folder=tmp_path, env=env)
    unknown = await webhookd(*retry, str(uuid4()), folder=tmp_path, env=env)
    both = await webhookd(*retry, replay, "--from", "1d", folder=tmp_path, env=env)

    assert again == CompletedCommand(
        1, "", f"webhookd: the same replay is running already: {replay}\n"
    )
    assert failed.out == "completed: 3 of 3 sent; 0 delivered, 3 failed, 0 waiting\n"
    assert json.loads(retried.out)["count"] == 3
    assert (await get_replay(app, second)).delivered == 3
    assert nothing == CompletedCommand(
        0, "none of its deliveries was given up, or they were attempted again since\n", ""
    )
    assert (unknown.code, both.code) == (1, 2)
