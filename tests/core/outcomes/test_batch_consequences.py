"""A batch of results has the effects on endpoints that its results would have one by one."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.model.attempts import AttemptResult, Claim, Failure, FailureKind, Outcome, Verdict
from daemon.core.model.endpoints import Health, HealthChange
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.core.model.notices import Notice, NoticeKind
from daemon.core.model.secrets import StoredSecrets
from daemon.core.outcomes.batch_consequences import consequences
from daemon.core.outcomes.endpoint_health import HealthLimits, after_failure, after_success

NOW = datetime(2025, 11, 25, tzinfo=UTC)
NEW = Health(is_active=True, is_failing=False, consecutive_failures=0)
LIMITS = HealthLimits(failing_after=2, pause_after=4)
A, B, C = (WebhookId(UUID(int=n)) for n in (1, 2, 3))


def result_of(
    webhook_id: WebhookId, status: int | None, number: int = 0, began: datetime | None = None
) -> AttemptResult:
    claim = Claim(
        delivery_id=DeliveryId(UUID(int=number)),
        webhook_id=webhook_id,
        tenant_id=TenantId(UUID(int=webhook_id.int + 100)),
        event_id=EventId(UUID(int=0)),
        event_type="email.opened",
        event_created_at=NOW,
        data=None,
        attempt=1,
        claimed_at=NOW,
        leased_until=NOW,
        endpoint_url="https://receiver.test/",
        secrets=StoredSecrets(webhook_id, "whsec_", endpoint_url="https://receiver.test/"),
        failing_since=began,
    )
    delivered = status is not None and 200 <= status < 300
    verdict = Verdict(
        delivered, status, None if delivered else "no", retry_in=None, gone=status == 410
    )
    return AttemptResult(claim, Outcome(Failure(FailureKind.TIMEOUT, "no"), 1), verdict, None)


def consequences_of(
    *statuses: int | None,
    health: Health = NEW,
    began: datetime | None = None,
    limits: HealthLimits = LIMITS,
) -> tuple[HealthChange, list[NoticeKind]]:
    """The change of one endpoint by results with these statuses, and the kinds of its notices."""
    batch = [result_of(A, status, number, began) for number, status in enumerate(statuses)]
    [change], notices = consequences(batch, {A: health}, limits)
    return change, [notice.kind for notice in notices]


def test_an_empty_batch_changes_nothing() -> None:
    assert consequences([], {}, LIMITS) == ([], [])


def test_a_change_records_both_a_success_and_a_failure() -> None:
    change, kinds = consequences_of(500, 200)

    assert change == HealthChange(A, NEW, succeeded=True, failed=True, paused_reason=None)
    assert kinds == []


def test_results_apply_in_the_order_in_which_the_attempts_ended() -> None:
    assert consequences_of(500, 200)[0].health.consecutive_failures == 0
    assert consequences_of(200, 500)[0].health.consecutive_failures == 1


def test_a_batch_does_not_pause_what_it_makes_failing() -> None:
    change, kinds = consequences_of(500, 500, None, 503, 500)

    assert change.health == Health(True, True, 5, newly_failing=True)
    assert change.paused_reason is None
    assert kinds == [NoticeKind.FAILING]


def test_a_batch_of_attempts_that_began_while_failing_may_pause() -> None:
    failing = Health(True, True, 2, failing_since=NOW, failed_probes=0)

    change, kinds = consequences_of(500, None, health=failing, began=NOW)

    assert change.health == Health(False, True, 4, failing_since=NOW, failed_probes=2)
    assert change.paused_reason == "failures"
    assert kinds == [NoticeKind.PAUSED]


@pytest.mark.parametrize(
    ("statuses", "began", "probe_in"),
    [
        ((500,), None, None),  # began before: the time that is stored stays
        ((500,), NOW, 4),
        ((500, 500), NOW, 8),
        ((200,), NOW, None),
        ((200, 500, 500), NOW, 1),  # failing again
        ((500, 200, 500), NOW, None),
    ],
)
def test_each_failed_probe_doubles_the_wait_for_the_next(
    statuses: tuple[int, ...], began: datetime | None, probe_in: float | None
) -> None:
    failing = Health(True, True, 3, failing_since=NOW, failed_probes=1)
    limits = HealthLimits(failing_after=2, pause_after=100)

    change, _ = consequences_of(*statuses, health=failing, began=began, limits=limits)

    assert change.probe_in == (None if probe_in is None else timedelta(seconds=probe_in))


def test_the_transition_sets_the_first_wait_and_without_spacing_there_is_none() -> None:
    spaced, _ = consequences_of(500, 500)
    off = HealthLimits(failing_after=2, pause_after=4, failing_backoff=timedelta())
    at_once, _ = consequences_of(500, 500, limits=off)

    assert spaced.probe_in == timedelta(seconds=1)
    assert at_once.probe_in == timedelta()


def test_a_recovery_is_noticed_once_after_the_failure() -> None:
    change, kinds = consequences_of(500, 500, 200, 200)

    assert change.health == NEW
    assert kinds == [NoticeKind.FAILING, NoticeKind.RECOVERED]


def test_a_410_pauses_with_a_reason_of_its_own() -> None:
    change, kinds = consequences_of(410, 410, 500, 500)

    assert not change.health.is_active
    assert change.paused_reason == "gone"
    assert kinds == [NoticeKind.GONE]


def test_a_success_after_the_pause_does_not_resume() -> None:
    change, _ = consequences_of(410, 200)

    assert change.health == Health(False, False, 0)
    assert change.paused_reason == "gone"


def test_an_endpoint_that_is_paused_already_gets_no_reason_and_no_notice() -> None:
    change, kinds = consequences_of(500, 410, health=Health(False, True, 50, NOW))

    assert change == HealthChange(A, Health(False, True, 52, NOW), False, True, None)
    assert kinds == []


def test_an_endpoint_that_was_deleted_is_left_out() -> None:
    changes, notices = consequences([result_of(A, 410), result_of(B, 200)], {B: NEW}, LIMITS)

    assert [change.webhook_id for change in changes] == [B]
    assert notices == []


def test_a_notice_names_its_endpoint_and_the_reason() -> None:
    _, [notice] = consequences([result_of(A, 410, number=7)], {A: NEW}, LIMITS)

    assert notice.tenant_id == UUID(int=101)
    assert notice.webhook_id == A
    assert notice.kind is NoticeKind.GONE
    assert orjson.loads(notice.data) == {
        "consecutiveFailures": 1,
        "statusCode": 410,
        "error": "no",
        "deliveryId": str(UUID(int=7)),
    }


batches = st.lists(
    st.builds(
        result_of,
        st.sampled_from([A, B, C]),
        st.sampled_from([200, 200, 500, 500, None, 410]),
        st.integers(0, 1000),
        st.sampled_from([None, NOW]),
    ),
    max_size=40,
)
healths = st.dictionaries(
    st.sampled_from([A, B, C]),
    st.builds(
        Health,
        is_active=st.booleans(),
        is_failing=st.booleans(),
        consecutive_failures=st.integers(0, 5),
        failing_since=st.sampled_from([None, NOW]),
        failed_probes=st.integers(0, 5),
    ),
)
limits = st.builds(HealthLimits, st.integers(1, 5), st.integers(1, 10))


def one_by_one(
    batch: Sequence[AttemptResult], health: dict[WebhookId, Health], limits: HealthLimits
) -> tuple[dict[WebhookId, Health], list[Notice]]:
    """The health and notices if each result is a batch of its own."""
    now: dict[WebhookId, Health] = dict(health)
    notices: list[Notice] = []
    for each in batch:
        changes, more = consequences([each], now, limits)
        now |= {change.webhook_id: change.health for change in changes}
        notices += more
    return now, notices


@given(batch=batches, health=healths, limits=limits)
def test_a_batch_has_the_effects_of_its_results_one_by_one(
    batch: list[AttemptResult], health: dict[WebhookId, Health], limits: HealthLimits
) -> None:
    changes, notices = consequences(batch, health, limits)

    after, notices_one_by_one = one_by_one(batch, health, limits)
    assert health | {change.webhook_id: change.health for change in changes} == after
    assert notices == notices_one_by_one


@given(batch=batches, health=healths, limits=limits)
def test_changes_are_ordered_by_id_and_only_of_endpoints_in_the_batch(
    batch: list[AttemptResult], health: dict[WebhookId, Health], limits: HealthLimits
) -> None:
    changes, _ = consequences(batch, health, limits)

    ids = [change.webhook_id for change in changes]
    assert ids == sorted({each.claim.webhook_id for each in batch} & health.keys())
    for change in changes:
        verdicts = [e.verdict for e in batch if e.claim.webhook_id == change.webhook_id]
        assert change.succeeded == any(verdict.delivered for verdict in verdicts)
        assert change.failed == any(not verdict.delivered for verdict in verdicts)


@given(batch=batches, health=healths, limits=limits)
def test_a_pause_has_a_reason_and_a_notice_and_happens_once(
    batch: list[AttemptResult], health: dict[WebhookId, Health], limits: HealthLimits
) -> None:
    changes, notices = consequences(batch, health, limits)

    for change in changes:
        kinds = [notice.kind for notice in notices if notice.webhook_id == change.webhook_id]
        paused = health[change.webhook_id].is_active and not change.health.is_active
        assert (change.paused_reason is not None) == paused
        assert kinds.count(NoticeKind.PAUSED) + kinds.count(NoticeKind.GONE) == paused
        assert (change.paused_reason == "gone") == (NoticeKind.GONE in kinds)


@given(batch=batches, health=healths, limits=limits)
def test_a_single_result_is_a_single_step(
    batch: list[AttemptResult], health: dict[WebhookId, Health], limits: HealthLimits
) -> None:
    for each in batch:
        before = health.get(each.claim.webhook_id)
        changes, _ = consequences([each], health, limits)
        if before is None:
            assert changes == []
        elif each.verdict.delivered:
            assert changes[0].health == after_success(before)
        else:
            gone, began = each.verdict.gone, each.claim.failing_since
            assert changes[0].health == after_failure(before, limits, gone=gone, began=began)[0]
