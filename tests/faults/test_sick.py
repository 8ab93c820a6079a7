"""Sick endpoints hold up nobody else; short forms."""

from pathlib import Path

from tests.faults import sick


async def test_one_slow_endpoint_with_a_long_backlog_holds_up_nobody(
    database: str, folder: Path
) -> None:
    report = await sick.sick_ones(
        database, folder, endpoints=1, backlog=100_000, answer_after=4.9, busy=2
    )

    assert report.broken == []


async def test_a_hundred_slow_endpoints_hold_up_nobody(database: str, folder: Path) -> None:
    report = await sick.sick_ones(
        database, folder, endpoints=100, backlog=500, answer_after=1.6, busy=300
    )

    assert report.broken == []


async def test_fifty_endpoints_that_never_answer_hold_up_nobody(
    database: str, folder: Path
) -> None:
    report = await sick.sick_ones(
        database, folder, endpoints=50, backlog=500, answer_after=None, busy=50
    )

    assert report.broken == []


async def test_a_webhook_that_the_application_holds_locked_holds_up_nobody_else(
    database: str, folder: Path
) -> None:
    report = await sick.locked_one(database, folder, seconds=2)

    assert report.broken == []
