"""Shutdown: short forms."""

from pathlib import Path

import pytest

from tests.faults import stops


async def test_stopping_under_load_repeats_nothing_and_leaves_no_lease(
    database: str, folder: Path
) -> None:
    report = await stops.under_load(database, folder, rounds=2, pairs=300)

    assert report.broken == []


@pytest.mark.full
async def test_attempts_that_the_drain_interrupts_are_released_unspent(
    database: str, folder: Path
) -> None:
    report = await stops.held_by_the_receiver(database, folder)

    assert report.broken == []


async def test_a_second_signal_stops_at_once(database: str, folder: Path) -> None:
    report = await stops.twice(database, folder)

    assert report.broken == []


@pytest.mark.full
async def test_stopping_does_not_wait_for_a_frozen_database(folder: Path) -> None:
    report = await stops.without_database(folder, drain_seconds=1)

    assert report.broken == []
