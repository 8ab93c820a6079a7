"""The database goes away and comes back; short forms."""

from pathlib import Path

from tests.faults import outages


async def test_a_database_that_is_killed_under_load_costs_nothing(folder: Path) -> None:
    report = await outages.killed(folder, outages=1, pairs=1000)

    assert report.broken == []


async def test_a_database_that_stands_still_under_load_costs_nothing(folder: Path) -> None:
    report = await outages.stopped(folder, seconds=4, pairs=1000)

    assert report.broken == []
