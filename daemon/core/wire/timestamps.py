"""Times as text: RFC 3339 in UTC, the same in bodies, in the API and on the command line."""

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """
    The instant in UTC with `Z`; its fraction has no trailing zeros, and is absent if zero.

    Raises ValueError when `moment` is naive.
    """
    if moment.tzinfo is None:
        raise ValueError("the time has no time zone")
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    printed = moment.isoformat()[: -len("+00:00")]
    return f"{printed.rstrip('0') if '.' in printed else printed}Z"
