"""A replay is cancelled: short form."""

from pathlib import Path

from tests.faults import replays


async def test_a_cancelled_replay_stops_at_once(database: str, folder: Path) -> None:
    report = await replays.cancelled(database, folder, events=600)

    assert report.broken == []
