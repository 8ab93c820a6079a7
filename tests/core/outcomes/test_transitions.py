"""Which operational events a batch of results causes."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from daemon.core.model.attempts import Verdict
from daemon.core.model.ids import DeliveryId
from daemon.core.model.operational_events import OperationalType
from daemon.core.outcomes.batch_consequences import consequences
from daemon.core.outcomes.transitions import ends_in_vain, transitions_of
from tests.core.outcomes.test_batch_consequences import LIMITS, NEW, A, B, result_of

FAILED = Verdict(delivered=False, status=500, error="no", retry_in=None)


def test_a_delivery_ends_in_vain_with_a_failed_attempt_that_none_follows() -> None:
    assert ends_in_vain(FAILED)
    assert ends_in_vain(replace(FAILED, status=410, gone=True))
    assert not ends_in_vain(replace(FAILED, status=410, gone=True, retry_in=timedelta(minutes=1)))
    assert not ends_in_vain(replace(FAILED, too_large=True))
    assert not ends_in_vain(Verdict(delivered=True, status=200, error=None, retry_in=None))


def test_a_batch_reports_each_transition_with_the_failures_of_that_moment() -> None:
    batch = [result_of(A, 500, 1), result_of(A, 500, 2), result_of(A, 200, 3), result_of(B, 410, 4)]
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
    batch = [result_of(A, 500, number) for number in range(2)]
    health = replace(NEW, is_failing=True, consecutive_failures=4)
    limits = replace(LIMITS, failing_after=2, pause_after=10)
    _, notices = consequences(batch, {A: health}, limits)

    assert [each.kind for each in notices] == ["webhook_half_way"]
    types = {each.type for each in transitions_of(batch, notices, row_ids={})}
    assert types == {OperationalType.EXHAUSTED}
