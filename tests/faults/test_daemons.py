"""Daemons that share a database, die, and stand still; short forms."""

from pathlib import Path

from tests.faults import daemons


async def test_four_daemons_deliver_every_pair_exactly_once(database: str, folder: Path) -> None:
    report = await daemons.several(database, folder, events=3000)

    assert report.broken == []


async def test_a_killed_daemon_doubles_at_most_what_was_in_flight(
    database: str, folder: Path
) -> None:
    report = await daemons.killed(database, folder, wait_for_leases=False)

    assert report.broken == []


async def test_what_a_frozen_daemon_brings_after_its_leases_changes_nothing(
    database: str, folder: Path
) -> None:
    report = await daemons.frozen(database, folder, wait_for_leases=False)

    assert report.broken == []


async def test_a_daemon_frozen_in_a_transaction_does_not_stop_the_others(
    database: str, folder: Path
) -> None:
    report = await daemons.frozen_amid_settling(database, folder)

    assert report.broken == []
