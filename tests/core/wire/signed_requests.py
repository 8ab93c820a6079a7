"""Secrets, and the headers of a request signed with them."""

from datetime import UTC, datetime
from uuid import UUID

from tests.support.signed_headers import Headers, request_headers

# In the format of the specification (64 hexadecimal digits), and in that of Standard Webhooks.
SECRET = "whsec_" + "0123456789abcdef" * 4
PREVIOUS = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
NOT_BASE64 = "whsec_not base64!"
DELIVERY = UUID("00000000-0000-0000-0000-00000000000d")
CREATED = datetime(2025, 11, 25, 14, 30, 0, 120_000, tzinfo=UTC)


def signed(
    body: bytes = b"{}",
    *,
    message_id: str = "evt_1",
    event_type: str = "email.opened",
    timestamp: int = 1_764_081_000,
    secret: str = SECRET,
    previous_secret: str | None = None,
) -> Headers:
    return request_headers(
        body=body,
        message_id=message_id,
        event_type=event_type,
        delivery_id=DELIVERY,
        timestamp=timestamp,
        secret=secret,
        previous_secret=previous_secret,
    )
