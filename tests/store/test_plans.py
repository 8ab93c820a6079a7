"""Query plans use the index that was made for the query, whatever statistics there are."""

from uuid import uuid4

import pytest

from daemon.store.session import PLANNING
from tests.support.application import Application


@pytest.mark.parametrize("table", ["webhook_deliveries", "webhook_events"])
async def test_a_row_is_found_by_its_primary_key_even_if_the_table_was_empty_when_analyzed(
    app: Application, table: str
) -> None:
    await app.db.execute(f"{PLANNING}; ANALYZE {table}")

    plan = await app.db.fetch(f"EXPLAIN SELECT * FROM {table} WHERE id = '{uuid4()}'")

    scans = [row[0] for row in plan if "Scan" in row[0]]
    assert scans
    assert all(f"using {table}" in scan and "_pkey" in scan for scan in scans)
