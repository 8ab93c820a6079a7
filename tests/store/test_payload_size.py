"""Data are measured by themselves, in any transaction, and never for long."""

from datetime import timedelta

import asyncpg
import pytest

from daemon.store.database import Database
from daemon.store.payload_size import UNPRINTABLE_BYTES, measure_event, within_seconds
from tests.support.application import Application

LIMIT = "SHOW statement_timeout"


async def test_data_are_measured_within_a_transaction_which_goes_on(
    app: Application, database: str
) -> None:
    event = await app.event(tenant := await app.tenant(), {"text": "x" * 100_000})
    pool = Database(database, size=1)
    await pool.open()

    async with pool.transaction() as db:
        await db.execute("SET LOCAL statement_timeout = '7s'")
        size = await measure_event(db, event, most_bytes=10**6)
        late = await within_seconds(db, 1, "SELECT pg_sleep(30)", otherwise="late")
        with pytest.raises(asyncpg.DivisionByZeroError):
            await within_seconds(db, 1, "SELECT 1 / 0")
        limit = await db.fetchval(LIMIT)
        await db.execute("UPDATE webhook_events SET event_type = 'measured'")
    async with pool.connection() as db:
        outside = await measure_event(db, event, most_bytes=10**6)
        usual = await db.fetchval(LIMIT)
    await pool.close(within=timedelta(seconds=1))

    assert size == outside == 100_000 + len('{"text": ""}') < UNPRINTABLE_BYTES
    assert (late, limit, usual) == ("late", "7s", "9s")
    assert await app.db.fetchval("SELECT event_type FROM webhook_events") == "measured"
    assert await app.db.fetchval("SELECT tenant_id FROM webhook_events") == tenant
