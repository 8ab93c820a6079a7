"""Daemons that share a database, die and freeze: short forms."""

from pathlib import Path

import pytest

from tests.faults import daemons


@pytest.mark.full
async def test_four_daemons_deliver_every_pair_exactly_once(database: str, folder: Path) -> None:
    report = await daemons.several(database, folder, events=3000)

    assert report.broken == []


async def test_a_killed_daemon_repeats_only_the_requests_in_flight(
    database: str, folder: Path
) -> None:
    report = await daemons.killed(database, folder, events=600, wait_for_leases=False)

    assert report.broken == []


async def test_the_late_results_of_a_frozen_daemon_change_nothing(
    database: str, folder: Path
) -> None:
    report = await daemons.frozen(database, folder, wait_for_leases=False)

    assert report.broken == []


@pytest.mark.full
async def test_a_daemon_frozen_in_a_transaction_does_not_stop_the_others(
    database: str, folder: Path
) -> None:
    report = await daemons.frozen_in_transaction(database, folder)

    assert report.broken == []
