"""Slow, silent and locked endpoints delay no other endpoint: short forms."""

from pathlib import Path

import pytest

from tests.faults import slow_endpoints


@pytest.mark.parametrize("backlog", [10_000, pytest.param(100_000, marks=pytest.mark.full)])
async def test_one_slow_endpoint_with_a_long_backlog_delays_no_other(
    database: str, folder: Path, backlog: int
) -> None:
    report = await slow_endpoints.slow_endpoints(
        database, folder, endpoints=1, backlog=backlog, answer_after=4.9, busy=2
    )

    assert report.broken == []


@pytest.mark.parametrize("backlog", [100, pytest.param(500, marks=pytest.mark.full)])
async def test_a_hundred_slow_endpoints_delay_no_other(
    database: str, folder: Path, backlog: int
) -> None:
    report = await slow_endpoints.slow_endpoints(
        database, folder, endpoints=100, backlog=backlog, answer_after=1.6, busy=180
    )

    assert report.broken == []


@pytest.mark.full
async def test_fifty_endpoints_that_never_answer_delay_no_other(
    database: str, folder: Path
) -> None:
    report = await slow_endpoints.slow_endpoints(
        database, folder, endpoints=50, backlog=500, answer_after=None, busy=50
    )

    assert report.broken == []


async def test_a_webhook_that_the_application_locks_delays_no_other(
    database: str, folder: Path
) -> None:
    report = await slow_endpoints.locked_endpoint(database, folder, backlog=4000, seconds=2)

    assert report.broken == []
