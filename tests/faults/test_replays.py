"""Replays beside new events, and kills: short forms."""

from pathlib import Path

import pytest

from tests.faults import replays


@pytest.mark.full
async def test_new_events_are_delivered_beside_a_replay(database: str, folder: Path) -> None:
    report = await replays.beside_live(database, folder, events=600, samples=10, limit_ms=None)

    assert report.broken == []


async def test_a_daemon_killed_in_the_middle_of_a_replay_skips_nothing(
    database: str, folder: Path
) -> None:
    report = await replays.killed(database, folder, events=600, wait_for_leases=False)

    assert report.broken == []
