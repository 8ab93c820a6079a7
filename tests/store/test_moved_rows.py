"""A pending row becomes one of the past, perhaps in another partition, while others wait for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

import asyncpg
import pytest

from daemon.core.errors import DatabaseBusyError
from daemon.core.model.attempts import AttemptResult, Claim, Outcome, Response, Verdict
from daemon.core.model.ids import DeliveryId, WebhookId
from daemon.core.scheduling.lanes import LaneTurn
from daemon.store import claims, results, retries
from daemon.store.errors import translated
from daemon.store.partitioning import Layout
from daemon.store.session import prepare
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import insert_delivery, settled
from tests.support.receiver import Receiver

T = TypeVar("T")

# As a person might, of a row that is not to be sent: it is moved, where an update can move it.
GIVE_UP = "UPDATE webhook_deliveries SET status = 'failed' WHERE id = $1"
# A lease that has lapsed when the next statement begins: others may have the row.
LAPSED = timedelta(microseconds=1)


@pytest.fixture
async def other(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    await prepare(connection)
    yield connection
    await connection.close()


@pytest.fixture
async def webhook(app: Application) -> UUID:
    await prepare(app.db)
    return await app.webhook(await app.tenant(), "https://example.com")


async def claim(app: Application, webhook: UUID) -> Claim:
    turn = LaneTurn(WebhookId(webhook), 1, None)
    lanes = await claims.claim(app.db, [turn], lease=LAPSED, most_bytes=1000)
    [only] = lanes[WebhookId(webhook)].claims
    return only


def success(claim: Claim) -> AttemptResult:
    outcome = Outcome(Response(200, (), "ok"), took_ms=1)
    verdict = Verdict(delivered=True, status=200, error=None, retry_in=None)
    return AttemptResult(claim, outcome, verdict, signature=None)


async def commits_meanwhile(
    database: str, transaction: asyncpg.transaction.Transaction, work: Awaitable[T]
) -> T:
    """Commit the transaction once `work` waits for a lock of it; returns what `work` does."""
    working = asyncio.ensure_future(work)
    observer = await asyncpg.connect(database)
    await until(
        lambda: observer.fetchval(
            "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
        )
    )
    await observer.close()
    await transaction.commit()
    return await working


async def test_a_retry_that_waits_for_a_result_adds_an_attempt(
    app: Application, database: str, other: asyncpg.Connection, webhook: UUID
) -> None:
    now = datetime.now(UTC)
    delivery = DeliveryId(await insert_delivery(app, webhook, next_retry_at=now))
    result = success(await claim(app, webhook))
    transaction = app.db.transaction()
    await transaction.start()
    assert await results.store(app.db, [result]) == {result.claim.key: None}

    async def retry() -> object:
        async with other.transaction():
            return await retries.retry_now(other, None, delivery)

    due = await commits_meanwhile(database, transaction, retry())

    assert isinstance(due, retries.RetryDue)
    rows = {row["id"]: row["status"] for row in await app.deliveries(webhook)}
    assert rows == {delivery: "success", due.delivery_id: "pending_retry"}
    assert due.delivery_id != delivery


async def test_a_retry_that_waits_for_a_person_s_update_is_busy_where_that_moves_the_row(
    app: Application, database: str, other: asyncpg.Connection, webhook: UUID, layout: Layout
) -> None:
    delivery = DeliveryId(await insert_delivery(app, webhook))
    transaction = app.db.transaction()
    await transaction.start()
    await app.db.execute(GIVE_UP, delivery)

    async def retry() -> object:
        with translated():
            async with other.transaction():
                return await retries.retry_now(other, None, delivery)

    retrying = commits_meanwhile(database, transaction, retry())
    if layout is Layout.PARTITIONED or layout is Layout.CONVERTED:
        with pytest.raises(DatabaseBusyError):
            await retrying
        due = await retry()
    else:
        due = await retrying

    assert isinstance(due, retries.RetryDue)
    assert len(await app.deliveries(webhook)) == 2


async def test_rows_that_a_person_gives_up_hold_up_no_daemon(
    app: Application, database: str, receiver: Receiver
) -> None:
    webhook = await app.webhook(await app.tenant(), receiver.url + "/hook")
    now = datetime.now(UTC)
    given_up = [await insert_delivery(app, webhook, next_retry_at=now) for _ in range(20)]
    kept = [await insert_delivery(app, webhook, next_retry_at=now) for _ in range(20)]
    transaction = app.db.transaction()
    await transaction.start()
    for delivery in given_up:
        await app.db.execute(GIVE_UP, delivery)
    async with serving(database):
        await until(lambda: len(receiver.received) == 20)
        await transaction.commit()
        await until(lambda: settled(app, webhook, "success", 20))

    sent = {request.headers["x-penguinmails-delivery-id"] for request in receiver.received}
    assert sent == {str(delivery) for delivery in kept}
    assert await settled(app, webhook, "failed", 20)
