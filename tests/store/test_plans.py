"""By which index rows are found, whatever the planner knows."""

from uuid import uuid4

import pytest

from daemon.store.session import PLANNING
from tests.support.application import Application


@pytest.mark.parametrize("table", ["webhook_deliveries", "webhook_events"])
async def test_a_row_is_looked_up_by_its_key_be_the_plan_as_old_as_the_table(
    app: Application, table: str
) -> None:
    await app.db.execute(f"{PLANNING}; ANALYZE {table}")

    plan = await app.db.fetch(f"EXPLAIN SELECT * FROM {table} WHERE id = '{uuid4()}'")

    assert f"{table}_pkey" in plan[0][0]
