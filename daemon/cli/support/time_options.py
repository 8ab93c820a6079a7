"""The options `--from` and `--to`: a time, a day, or how long ago."""

import re
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from daemon.core.errors import UsageError
from daemon.core.wire.timestamps import rfc3339

DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
ACCEPTED = (
    'a time like "2025-11-20T14:00:00Z", a day like "2025-11-20", or how long ago like "2h" or "1w"'
)

FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="From this time on: 2025-11-20T14:00:00Z, 2025-11-20 (UTC), or 2h, 3d, 1w (ago).",
        show_default=False,
        metavar="TIME",
    ),
]
ToOption = Annotated[
    str | None,
    typer.Option(help="Before this time; default: now.", show_default=False, metavar="TIME"),
]


def moment(option: str, text: str, *, now: datetime) -> datetime:
    """
    Read an RFC 3339 time, a day (its beginning in UTC), or a duration before `now`.

    A time without a zone is taken as UTC, which stderr says. Raises UsageError, which names the
    option.
    """
    from daemon.config import parse_duration

    try:
        if not DAY.match(text):
            return now - parse_duration(text)
        read = datetime.fromisoformat(text)
        if read.tzinfo is not None:
            return read.astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"{option}: must be {ACCEPTED}") from None
    read = read.replace(tzinfo=UTC)
    if not DAY.fullmatch(text):
        print(f"webhookd: {option}: no time zone, so UTC: {rfc3339(read)}", file=sys.stderr)
    return read


def time_range(from_: str | None, to: str | None) -> tuple[datetime, datetime | None]:
    """Read `--from` and `--to`; an end of None means until now. Raises UsageError."""
    if from_ is None:
        raise UsageError(f"--from: is required: {ACCEPTED}")
    now = datetime.now(UTC)
    since = moment("--from", from_, now=now)
    until = None if to is None else moment("--to", to, now=now)
    if since >= (now if until is None else until):
        raise UsageError("--from: must be before --to, which defaults to now")
    return since, until
