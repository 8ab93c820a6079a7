"""The database goes away and comes back: short forms."""

from pathlib import Path

from tests.faults import outages


async def test_nothing_is_lost_when_the_database_is_killed_under_load(folder: Path) -> None:
    report = await outages.killed(folder, outages=1, pairs=1000)

    assert report.broken == []


async def test_nothing_is_lost_when_the_database_freezes_under_load(folder: Path) -> None:
    report = await outages.stopped(folder, seconds=4, pairs=1000)

    assert report.broken == []
