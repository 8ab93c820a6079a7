"""Large data that take long to measure leave the database's connections to everything else."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from daemon.core.errors import MemoryBusyError
from daemon.core.model.attempts import Claim
from daemon.core.model.ids import WebhookId
from daemon.core.scheduling.lanes import LaneTurn
from daemon.pipeline.claim_data import MEASURED_TENANTS, ClaimData
from daemon.store import claims
from daemon.store.database import Database
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.deliveries import insert_delivery

TENANTS = MEASURED_TENANTS + 2
POOL = 4
MOST_BYTES = 10**6
MEDIUM = '"' + "x" * 20_000 + '"'  # not measured beside others
OF_TENANT = 2


async def unmeasured(app: Application, db: Database) -> Sequence[Claim]:
    """Claims of several tenants, two of each, with data that are still to be measured."""
    webhooks = [await app.webhook(await app.tenant(), "http://127.0.0.1/") for _ in range(TENANTS)]
    for webhook in webhooks * OF_TENANT:
        await insert_delivery(app, webhook, payload=MEDIUM, next_retry_at=None)
    turns = [LaneTurn(WebhookId(each), OF_TENANT, None) for each in webhooks]
    async with db.connection() as connection:
        lanes = await claims.claim(
            connection, turns, lease=timedelta(seconds=30), most_bytes=MOST_BYTES
        )
    return [claim for lane in lanes.values() for claim in lane.claims]


async def test_measuring_takes_few_connections_and_one_for_a_tenant(
    app: Application, database: str
) -> None:
    db = Database(database, size=POOL)
    await db.open()
    try:
        waiting = await unmeasured(app, db)
        data = ClaimData(db, most_bytes=MOST_BYTES)

        async def fetched(claim: Claim) -> Claim:
            async with data.fetched(claim) as complete:
                return complete

        async with app.db.transaction():  # measuring takes until its end
            await app.db.execute("LOCK TABLE webhook_deliveries IN ACCESS EXCLUSIVE MODE")
            tasks = [asyncio.create_task(fetched(each)) for each in waiting]
            refused = len(tasks) - MEASURED_TENANTS
            await until(lambda: sum(task.done() for task in tasks) >= refused)
            async with db.connection(within=1.0) as free:
                assert await free.fetchval("SELECT 1") == 1
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        await db.close(within=timedelta(seconds=1))

    complete = [each for each in ended if isinstance(each, Claim)]
    assert len(complete) == len({each.tenant_id for each in complete}) == MEASURED_TENANTS
    assert all(each.data == MEDIUM for each in complete)
    assert sum(isinstance(each, MemoryBusyError) for each in ended) == refused


async def test_all_data_are_measured_one_after_the_other(app: Application, database: str) -> None:
    db = Database(database, size=POOL)
    await db.open()
    try:
        data = ClaimData(db, most_bytes=MOST_BYTES)
        complete = []
        for claim in await unmeasured(app, db):
            async with data.fetched(claim) as each:
                complete.append(each)
    finally:
        await db.close(within=timedelta(seconds=1))

    assert [each.data for each in complete] == [MEDIUM] * TENANTS * OF_TENANT
