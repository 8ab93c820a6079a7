"""A daemon that stands still charges no endpoint for it."""

from pathlib import Path

import pytest

from tests.faults import stalls


@pytest.mark.parametrize(
    "tls",
    [pytest.param(False, id="http", marks=pytest.mark.full), pytest.param(True, id="https")],
)
async def test_responses_that_came_while_the_daemon_stood_still_count(
    database: str, folder: Path, tls: bool
) -> None:
    report = await stalls.stopped(database, folder, tls=tls)

    assert report.broken == []


async def test_what_has_no_response_after_a_stall_is_sent_again_and_then_judged(
    database: str, folder: Path
) -> None:
    report = await stalls.silent(database, folder)

    assert report.broken == []
