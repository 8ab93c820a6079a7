"""`--from` and `--to`: a time, a day, or how long ago."""

from datetime import UTC, datetime, timedelta

import pytest

from daemon.cli.support.time_options import moment, time_range
from daemon.core.errors import UsageError

NOW = datetime(2025, 11, 25, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2025-11-20T14:00:00Z", datetime(2025, 11, 20, 14, tzinfo=UTC)),
        ("2025-11-20 14:00:00.5+02:00", datetime(2025, 11, 20, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("2025-11-20", datetime(2025, 11, 20, tzinfo=UTC)),
        ("1h30m", NOW - timedelta(minutes=90)),
        ("90d", NOW - timedelta(days=90)),
        ("2d", NOW - timedelta(days=2)),
        ("1w", NOW - timedelta(weeks=1)),
        ("1w2d12h", NOW - timedelta(days=9, hours=12)),
    ],
)
def test_a_moment_is_a_time_a_day_or_how_long_ago(text: str, meant: datetime) -> None:
    assert moment("--from", text, now=NOW) == meant


@pytest.mark.parametrize(
    "text",
    ["", "now", "2025-11-31", "1d1w", "20251120", "14:00", "2 h", "-2h",
     "0001-01-01T00:00:00+02:00", "999999999d"],
)  # fmt: skip
def test_anything_else_is_an_error_that_names_the_option(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--to: must be a time like"):
        moment("--to", text, now=NOW)


def test_a_time_range_ends_now_unless_its_end_is_given() -> None:
    assert time_range("2025-11-20", None) == (datetime(2025, 11, 20, tzinfo=UTC), None)
    assert time_range("2025-11-20", "2025-11-21")[1] == datetime(2025, 11, 21, tzinfo=UTC)


def test_a_time_without_a_zone_is_utc_and_that_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert moment("--to", "2025-11-20 14:00", now=NOW) == datetime(2025, 11, 20, 14, tzinfo=UTC)
    assert capsys.readouterr().err == (
        "webhookd: --to: no time zone, so UTC: 2025-11-20T14:00:00Z\n"
    )

    for text in ("2025-11-20", "2025-11-20T14:00:00Z", "1w"):
        moment("--to", text, now=NOW)
    assert capsys.readouterr().err == ""
