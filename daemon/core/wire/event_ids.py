"""Public ids of events: `evt_` and the 32 hex digits of the UUID."""

from uuid import UUID

PREFIX = "evt_"
TEST_PREFIX = "evt_test_"


def public_event_id(event_id: UUID) -> str:
    """The id that every attempt of this event carries in its body and its `webhook-id` header."""
    return f"{PREFIX}{event_id.hex}"


def public_test_id(test_id: UUID) -> str:
    """The id of a test event, which no stored event has."""
    return f"{TEST_PREFIX}{test_id.hex}"


def parse_event_id(text: str) -> UUID:
    """A stored event's UUID, given plain or as its public id. Raises ValueError."""
    return UUID(text.removeprefix(PREFIX))
