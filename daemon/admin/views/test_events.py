"""The result of a test event in responses."""

from dataclasses import dataclass
from typing import Any, Literal

from daemon.admin import schemas
from daemon.admin.views.exchanges import exchange
from daemon.core.model.attempts import AttemptResult
from daemon.core.wire import body as wire_body


@dataclass(frozen=True, slots=True)
class TestEvent:
    """
    An event to test with; `data` is JSON text, `data_from` is its origin, explained by `note`.
    """

    message_id: str
    event_type: str
    data: str
    data_from: Literal["event", "sample"]
    note: str | None


def test_event_response(attempted: AttemptResult, event: TestEvent) -> schemas.TestEventResult:
    """Show a test event that the receiver accepted."""
    return schemas.TestEventResult(success=True, **_members(attempted, event))


def failed_test_members(attempted: AttemptResult, event: TestEvent) -> dict[str, Any]:
    """The members of the problem document for a test event that was not delivered."""
    failed = schemas.FailedTestEvent(success=False, **_members(attempted, event))
    return failed.model_dump(by_alias=True)


def _members(attempted: AttemptResult, event: TestEvent) -> dict[str, Any]:
    claim = attempted.claim
    body = wire_body.event_body(
        claim.event_id,
        claim.event_type,
        claim.event_created_at,
        claim.data,
        public_id=event.message_id,
    )
    request, response, timing = exchange(attempted, body)
    return {
        "event_id": event.message_id,
        "event_type": event.event_type,
        "data_from": event.data_from,
        "note": event.note,
        "status_code": attempted.verdict.status,
        "duration_ms": attempted.outcome.took_ms,
        "timing": timing,
        "request": request,
        "response": response,
    }
