"""What an open list of deliveries is informed of, without a database."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from daemon.admin.console.live_view import MOST_NEW, LiveFilter, LiveView, read_tags
from daemon.core.model.ids import EventId
from daemon.store.live_deliveries import RecentAttempt

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHOWN = EventId(UUID(int=1))


def attempt(
    event: UUID, number: int = 1, status: str = "success", *, kind: str = "a.b", age: int = 0
) -> RecentAttempt:
    return RecentAttempt(EventId(event), kind, status, number, NOW - timedelta(seconds=age))


def view(tag: str, selected: LiveFilter | None = None) -> LiveView:
    return LiveView(read_tags(f"{SHOWN.hex}.{tag}"), selected or LiveFilter(), NOW)


def test_a_row_changes_when_its_latest_attempt_does_and_only_then() -> None:
    waiting = view("1p")

    assert waiting.watched == [SHOWN]
    assert waiting.see([attempt(SHOWN, status="pending_retry")]) == []
    failed = [attempt(SHOWN, status="failed"), attempt(SHOWN, 2, "pending_retry")]
    assert waiting.see(failed) == [SHOWN]
    assert waiting.see(failed[::-1]) == []
    assert waiting.see([failed[0]]) == []  # the later one was not among those that were read
    assert waiting.see([attempt(SHOWN, 2)]) == [SHOWN]
    assert waiting.watched == []
    assert waiting.new == set()


def test_an_event_is_new_once_if_the_list_would_show_it() -> None:
    chosen = LiveFilter("a.b", "exhausted", NOW, NOW + timedelta(hours=1))
    watching = view("1s", chosen)
    wanted = uuid4()

    watching.see([attempt(wanted, status="failed"), attempt(wanted, 2, "failed")])
    watching.see([attempt(uuid4()), attempt(uuid4(), status="failed", kind="c.d")])
    watching.see([attempt(uuid4(), status="failed", age=1), attempt(SHOWN)])

    assert watching.new == {wanted}


def test_no_more_new_events_are_counted_than_are_shown_as_a_number() -> None:
    watching = view("1s")

    watching.see([attempt(uuid4()) for _ in range(3 * MOST_NEW)])

    assert len(watching.new) == MOST_NEW


def test_what_is_no_tag_is_skipped() -> None:
    assert read_tags(f"- x {SHOWN.hex}.99999999999p {SHOWN.hex} {SHOWN.hex}.3f") == {
        SHOWN: (3, "f")
    }
