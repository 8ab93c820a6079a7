"""How the benchmarks' events are spread over tenants and time."""

import asyncio
from collections import Counter

import asyncpg
import pytest

from tests.bench.publishing import SteadyLoad, publish
from tests.support.application import Application

BY_TENANT = "SELECT tenant_id, count(*) FROM webhook_events GROUP BY tenant_id"
NUMBER_OF_TRANSACTIONS = "SELECT count(DISTINCT xmin::text) FROM webhook_events"


@pytest.mark.parametrize(("bursts", "transactions"), [(False, 1), (True, 3)])
async def test_events_are_published_in_one_transaction_or_in_one_for_each_tenant(
    app: Application, *, bursts: bool, transactions: int
) -> None:
    tenants = [await app.tenant() for _ in range(3)]
    before = asyncio.get_running_loop().time()

    first_commit = await publish(app.db, tenants, 11, data="{}", bursts=bursts)

    counts = {row["tenant_id"]: row["count"] for row in await app.db.fetch(BY_TENANT)}
    assert sorted(counts[tenant] for tenant in tenants) == [3, 4, 4]
    assert await app.db.fetchval(NUMBER_OF_TRANSACTIONS) == transactions
    assert before < first_commit < asyncio.get_running_loop().time()


async def test_a_steady_load_is_on_time_and_takes_tenants_in_turn(
    app: Application, database: str
) -> None:
    tenants = [await app.tenant() for _ in range(2)]
    other = await asyncpg.connect(database)
    load = SteadyLoad([app.db, other], tenants, per_second=100, data='{"n": 1}')

    await load.run(20)

    await other.close()
    rows = await app.db.fetch("SELECT id, tenant_id FROM webhook_events")
    assert load.committed.keys() == {f"evt_{row['id'].hex}" for row in rows}
    assert Counter(row["tenant_id"] for row in rows) == dict.fromkeys(tenants, 10)
    # The last one is published 19 hundredths after the first, however quick the database is.
    assert max(load.committed.values()) - min(load.committed.values()) > 0.1


async def test_an_endless_load_ends_when_it_is_cancelled(app: Application) -> None:
    load = SteadyLoad([app.db], [await app.tenant()], per_second=500, data="{}")
    task = asyncio.create_task(load.run_forever())
    while len(load.committed) < 3:
        await asyncio.sleep(0.005)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
