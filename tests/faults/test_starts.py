"""Startup without a usable schema or database: short forms."""

from pathlib import Path

import pytest

from tests.faults import starts


async def test_of_four_migrations_at_once_one_applies_and_all_succeed(
    empty_database: str, folder: Path
) -> None:
    report = await starts.migration_race(empty_database, folder)

    assert report.broken == []


async def test_a_schema_that_is_missing_or_newer_is_refused_in_one_sentence(
    empty_database: str, folder: Path
) -> None:
    report = await starts.unfit_schema(empty_database, folder)

    assert report.broken == []


async def test_a_wrong_password_or_database_is_refused_without_the_password(
    database: str, folder: Path
) -> None:
    report = await starts.unfit_database(database, folder)

    assert report.broken == []


async def test_the_daemon_waits_for_a_database_that_starts_later(folder: Path) -> None:
    report = await starts.late_database(folder)

    assert report.broken == []


@pytest.mark.full
async def test_a_signal_ends_the_wait_for_a_database(folder: Path) -> None:
    report = await starts.no_database(folder, wait_until_it_gives_up=False)

    assert report.broken == []
