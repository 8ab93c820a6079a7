"""Public ids of events: `evt_` and the 32 hex digits of the UUID (contract, section 1)."""

from uuid import UUID

PREFIX = "evt_"
TEST_PREFIX = "evt_test_"


def public_event_id(event_id: UUID) -> str:
    """Return the id that each attempt of this event has in its body and `webhook-id` header."""
    return f"{PREFIX}{event_id.hex}"


def public_test_id(test_id: UUID) -> str:
    """Return the id of a test event; no stored event has such an id."""
    return f"{TEST_PREFIX}{test_id.hex}"


def parse_event_id(text: str) -> UUID:
    """Return a stored event's UUID from a plain UUID or a public id. Raises ValueError."""
    return UUID(text.removeprefix(PREFIX))
