"""Which operational events a batch of results causes."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from daemon.core.model.attempts import AttemptResult, Outcome, Response, Verdict
from daemon.core.model.ids import DeliveryId, EventId, WebhookId
from daemon.core.model.operational_events import OperationalType
from daemon.core.outcomes.batch_consequences import consequences
from daemon.core.outcomes.transitions import ends_without_success, transitions_of
from daemon.core.outcomes.verdict import judge
from tests.core.outcomes.test_batch_consequences import LIMITS, NEW, NOW, A, B, result_of

FAILED = Verdict(delivered=False, status=500, error="no", retry_in=None)


def of_own_event(webhook_id: WebhookId, status: int, number: int) -> AttemptResult:
    result = result_of(webhook_id, status, number)
    return replace(result, claim=replace(result.claim, event_id=EventId(UUID(int=number))))


def test_a_delivery_ends_without_success_by_a_failed_attempt_that_none_follows() -> None:
    assert ends_without_success(FAILED)
    assert ends_without_success(replace(FAILED, status=410, gone=True))
    assert not ends_without_success(
        replace(FAILED, status=410, gone=True, retry_in=timedelta(minutes=1))
    )
    assert not ends_without_success(replace(FAILED, too_large=True))
    assert not ends_without_success(Verdict(delivered=True, status=200, error=None, retry_in=None))


def test_what_ends_a_chain_is_the_place_in_the_schedule_or_a_status_that_is_final() -> None:
    def ends(status: int, place: int, *, client_errors_final: bool = False) -> bool:
        response = Response(status, (), "")
        verdict = judge(
            *(place, Outcome(response, 1)),
            schedule=[timedelta(minutes=1)],
            jitter=0.5,
            now=NOW,
            client_errors_final=client_errors_final,
        )
        return ends_without_success(verdict)

    retried = replace(result_of(A, 500).claim, attempt=7, chain_start=7)
    assert not ends(500, retried.place)
    assert ends(500, replace(retried, attempt=8).place)
    assert not ends(404, 1)
    assert ends(404, 1, client_errors_final=True)
    assert ends(410, 1, client_errors_final=True)
    assert not ends(429, 1, client_errors_final=True)


def test_of_two_chains_of_a_delivery_that_end_together_the_one_made_last_counts() -> None:
    first, last = result_of(A, 500, 1), result_of(A, 500, 2)
    last = replace(last, claim=replace(last.claim, claimed_at=NOW + timedelta(seconds=1)))
    other = result_of(B, 500, 3)

    found = transitions_of([last, first, other], [], row_ids={})

    ids = [each.delivery.delivery_id.int for each in found if each.delivery is not None]
    assert ids == [2, 3]


def test_a_batch_reports_each_transition_with_the_failures_of_that_moment() -> None:
    batch = [of_own_event(*each) for each in ((A, 500, 1), (A, 500, 2), (A, 200, 3), (B, 410, 4))]
    _, notices = consequences(batch, {A: NEW, B: NEW}, LIMITS)
    renamed = {DeliveryId(UUID(int=2)): DeliveryId(UUID(int=99))}

    found = transitions_of(batch, notices, row_ids=renamed)

    assert [(each.type, each.webhook_id, each.reason, each.failures) for each in found[:3]] == [
        (OperationalType.FAILING, A, "no", 2),
        (OperationalType.RECOVERED, A, None, 0),
        (OperationalType.PAUSED, B, "gone", 1),
    ]
    assert {each.type for each in found[3:]} == {OperationalType.EXHAUSTED}
    ids = [each.delivery.delivery_id.int for each in found[3:] if each.delivery is not None]
    assert ids == [1, 99, 4]


def test_a_warning_that_is_mailed_only_is_no_event() -> None:
    batch = [of_own_event(A, 500, number) for number in range(2)]
    health = replace(NEW, is_failing=True, consecutive_failures=4)
    limits = replace(LIMITS, failing_after=2, pause_after=10)
    _, notices = consequences(batch, {A: health}, limits)

    assert [each.kind for each in notices] == ["webhook_half_way"]
    types = {each.type for each in transitions_of(batch, notices, row_ids={})}
    assert types == {OperationalType.EXHAUSTED}
