"""docs/event-types.md is what its command writes."""

from tests.docs import event_types


def test_the_page_of_event_types_is_current() -> None:
    written = event_types.DOCUMENT.read_text()

    assert written == event_types.text(), "run python -m tests.docs.event_types"
