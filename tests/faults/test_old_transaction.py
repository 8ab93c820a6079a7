"""A transaction is left open: short form."""

from pathlib import Path

from tests.faults import old_transaction


async def test_deliveries_stay_fast_beside_a_transaction_that_never_ends(
    database: str, folder: Path
) -> None:
    report = await old_transaction.held_open(database, folder, deliveries=8000, measured=2000)

    assert report.broken == []
