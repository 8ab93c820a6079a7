"""A transaction is left open: short form."""

from pathlib import Path

import pytest

from tests.faults import old_transaction


@pytest.mark.parametrize("deliveries", [4000, pytest.param(8000, marks=pytest.mark.full)])
async def test_deliveries_stay_fast_beside_a_transaction_that_never_ends(
    database: str, folder: Path, deliveries: int
) -> None:
    report = await old_transaction.held_open(
        database, folder, deliveries=deliveries, measured=deliveries // 4
    )

    assert report.broken == []
