"""The headers of a signed request as names and values."""

from uuid import UUID

from daemon.core.wire.signing import header_lines

Headers = tuple[tuple[str, str], ...]


def request_headers(
    *,
    body: bytes,
    message_id: str,
    event_type: str,
    delivery_id: UUID,
    timestamp: int,
    secret: str,
    previous_secret: str | None = None,
) -> Headers:
    """Return what `header_lines` does, in its order."""
    lines, _ = header_lines(
        body=body,
        message_id=message_id,
        event_type=event_type,
        delivery_id=delivery_id,
        timestamp=timestamp,
        secret=secret,
        previous_secret=previous_secret,
    )
    return parsed(lines)


def parsed(lines: str) -> Headers:
    """Return names and values of header lines, each of which ends with CR and LF."""
    assert lines.endswith("\r\n") or not lines
    split = [line.partition(": ") for line in lines.split("\r\n")[:-1]]
    return tuple((name, text) for name, _, text in split)
