"""The retention loop without a daemon, and without waits between its batches."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from daemon.maintenance.retention import Retention
from daemon.runtime.metrics import Metrics
from daemon.store.database import Database

WEEK = timedelta(days=7)


@asynccontextmanager
async def retention_of(
    url: str,
    *,
    rest: timedelta = timedelta(0),
    metrics: Metrics | None = None,
    deliveries: timedelta = WEEK,
) -> AsyncIterator[Retention]:
    """Yield a retention loop that keeps events, the audit and, by default, all else for a week."""
    database = Database(url, size=2)
    await database.open()
    try:
        yield Retention(
            database,
            deliveries=deliveries,
            events=WEEK,
            audit=WEEK,
            metrics=metrics or Metrics(),
            rest=rest,
        )
    finally:
        await database.close(within=timedelta(seconds=2))


async def one_round(retention: Retention) -> None:
    """Prune every table once."""
    async with asyncio.timeout(60):
        await retention.run_once()
        while not retention.resting:
            await retention.run_once()


async def prune(url: str) -> None:
    """Run the first round of a new loop."""
    async with retention_of(url) as retention:
        await one_round(retention)
