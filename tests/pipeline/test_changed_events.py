"""An event that changes while it is delivered is measured again before it is read."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from daemon.core.errors import PostponedError
from daemon.core.model.attempts import Claim
from daemon.core.model.ids import WebhookId
from daemon.core.scheduling.lanes import LaneTurn
from daemon.pipeline.claim_data import ClaimData
from daemon.pipeline.delivery_inserter import MatchedEvent
from daemon.store import claims
from daemon.store.database import Database
from daemon.store.payload_size import FETCHED_AT_ONCE, event_data
from tests.pipeline.test_inbox_leases import inserter, lease
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import SHORT, insert_delivery, settled
from tests.support.receiver import Receiver, Reply

EXPLODING = "[" + ",".join(["1e131071"] * 3000) + "]"
MEDIUM = '"' + "x" * 20_000 + '"'  # not measured beside others
LARGE = '"' + "x" * 2 * FETCHED_AT_ONCE + '"'
CHANGE = "UPDATE webhook_events SET event_data = $2 WHERE id = $1"
SIZES = """
    SELECT event_type, payload IS NULL AS is_empty, payload_bytes FROM webhook_deliveries
     WHERE webhook_id = $1 AND status = 'pending_retry'
"""
MOST_BYTES = 10**6


@pytest.fixture
async def db(database: str) -> AsyncIterator[Database]:
    opened = Database(database, size=4)
    await opened.open()
    yield opened
    await opened.close(within=timedelta(seconds=1))


async def claimed(db: Database, webhook: UUID) -> Sequence[Claim]:
    turn = LaneTurn(WebhookId(webhook), 10, None)
    async with db.connection() as connection:
        lanes = await claims.claim(
            connection, [turn], lease=timedelta(seconds=30), most_bytes=MOST_BYTES
        )
    return lanes[WebhookId(webhook)].claims


@pytest.mark.parametrize("text", [MEDIUM, LARGE], ids=["medium", "large"])
async def test_the_next_attempt_of_a_row_without_data_is_measured_when_it_is_made(
    app: Application, database: str, receiver: Receiver, text: str
) -> None:
    changed = asyncio.Event()
    receiver.answer = lambda it: Reply(500, when=changed) if it.path == "/bad" else Reply()
    bad = await app.webhook(tenant := await app.tenant(), receiver.url + "/bad", types=["none"])
    good = await app.webhook(await app.tenant(), receiver.url + "/good", types=["none"])
    event = await app.event(tenant, text=text)
    async with serving(database, delivery=SHORT):
        await insert_delivery(
            *(app, bad), event_id=event, payload=None, attempt_number=1, next_retry_at=None
        )
        await until(lambda: len(receiver.at("/bad")) == 1)
        await app.db.execute(CHANGE, event, EXPLODING)
        changed.set()
        await until(lambda: settled(app, bad, "failed", 2))
        for _ in range(3):
            await insert_delivery(app, good, next_retry_at=None)
        await until(lambda: settled(app, good, "success", 3))

    rows = await app.db.fetch(
        "SELECT too_large FROM webhook_deliveries WHERE webhook_id = $1 ORDER BY attempt_number",
        bad,
    )
    assert [row["too_large"] for row in rows] == [False, True]
    assert len(receiver.at("/bad")) == 1


async def test_only_data_that_were_measured_are_copied_with_their_size(
    app: Application, db: Database
) -> None:
    tenant = await app.tenant()
    webhook = WebhookId(await app.webhook(tenant, "http://127.0.0.1/"))
    await app.event(tenant, {"n": 1}, type="same")
    changed = await app.event(tenant, {"n": 2}, type="changed")
    leased = await lease(db)
    await app.db.execute(CHANGE, changed, EXPLODING)
    for each in leased:
        await inserter(db).insert([MatchedEvent(each, [webhook], each.payload_bytes or 0)])

    rows = {each["event_type"]: each for each in await app.db.fetch(SIZES, webhook)}
    assert tuple(rows["same"])[1:] == (False, len('{"n": 1}'))
    assert tuple(rows["changed"])[1:] == (True, None)


async def test_data_that_changed_since_they_were_measured_are_not_fetched(
    app: Application, db: Database
) -> None:
    webhook = await app.webhook(tenant := await app.tenant(), "http://127.0.0.1/")
    event = await app.event(tenant, text=LARGE)
    for payload in (None, LARGE):
        await insert_delivery(*(app, webhook), event_id=event, payload=payload, next_retry_at=None)
    without, own = sorted(await claimed(db, webhook), key=lambda each: each.payload_bytes or 0)
    data = ClaimData(db, most_bytes=MOST_BYTES)
    fetched = []
    for claim in (without, own):
        async with data.fetched(claim) as complete:
            fetched.append(complete)
    await app.db.execute(CHANGE, event, '"' + "y" * 3 * FETCHED_AT_ONCE + '"')

    with pytest.raises(PostponedError):
        async with data.fetched(replace(without, payload_bytes=fetched[0].payload_bytes)):
            pass
    async with data.fetched(replace(own, payload_bytes=fetched[1].payload_bytes)) as complete:
        assert complete.data == LARGE
    [noted] = await app.db.fetch(SIZES + " AND payload IS NULL", webhook)
    assert noted["payload_bytes"] is None
    async with data.fetched(without) as complete:
        assert len(complete.data or "") == 3 * FETCHED_AT_ONCE + 2
    assert [each.data for each in fetched] == [LARGE, LARGE]


async def test_an_events_size_and_data_are_read_together(app: Application, db: Database) -> None:
    tenant = await app.tenant()
    fits, exploding = await app.event(tenant, text=LARGE), await app.event(tenant, text=EXPLODING)
    async with db.connection() as connection:
        assert await event_data(connection, fits, most_bytes=len(LARGE)) == (len(LARGE), LARGE)
        assert await event_data(connection, fits, most_bytes=len(LARGE) - 1) == (len(LARGE), None)
        size, data = await event_data(connection, exploding, most_bytes=MOST_BYTES)
    assert (size > MOST_BYTES, data) == (True, None)
