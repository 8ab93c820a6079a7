"""The database goes away and comes back: short forms."""

from pathlib import Path

from tests.faults import outages
from tests.faults.accounting import COUNTED


async def test_nothing_is_lost_when_the_database_is_killed_under_load(folder: Path) -> None:
    report = await outages.killed(folder, outages=1, pairs=1000)

    # Where the end of a transaction is not known, an attempt may be counted twice: see "Stats" in
    # docs/operations.md. The long form, `dev.py faults`, reports it.
    assert [each for each in report.broken if not each.startswith(COUNTED)] == []


async def test_nothing_is_lost_when_the_database_freezes_under_load(folder: Path) -> None:
    report = await outages.stopped(folder, seconds=4, pairs=1000)

    assert report.broken == []
