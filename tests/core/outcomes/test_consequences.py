"""A batch of results changes endpoints exactly as its results would one by one."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import orjson
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.model.attempts import AttemptResult, Claim, Failure, FailureKind, Outcome, Verdict
from daemon.core.model.endpoints import Health, HealthChange
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.core.model.notices import Notice, NoticeKind
from daemon.core.model.secrets import StoredSecrets
from daemon.core.outcomes.consequences import consequences
from daemon.core.outcomes.health import HealthLimits, after_failure, after_success

NOW = datetime(2025, 11, 25, tzinfo=UTC)
NEW = Health(is_active=True, is_failing=False, consecutive_failures=0)
LIMITS = HealthLimits(failing_after=2, pause_after=4)
A, B, C = (WebhookId(UUID(int=n)) for n in (1, 2, 3))


def attempted(webhook_id: WebhookId, status: int | None, number: int = 0) -> AttemptResult:
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
        secrets=StoredSecrets(webhook_id, "whsec_"),
    )
    delivered = status is not None and 200 <= status < 300
    verdict = Verdict(
        delivered, status, None if delivered else "no", retry_in=None, gone=status == 410
    )
    return AttemptResult(claim, Outcome(Failure(FailureKind.TIMEOUT, "no"), 1), verdict, None)


def consequences_of(
    *statuses: int | None, health: Health = NEW
) -> tuple[HealthChange, list[NoticeKind]]:
    """Return the consequences of these results of one endpoint."""
    batch = [attempted(A, status, number) for number, status in enumerate(statuses)]
    [change], notices = consequences(batch, {A: health}, LIMITS)
    return change, [notice.kind for notice in notices]


def test_an_empty_batch_changes_nothing() -> None:
    assert consequences([], {}, LIMITS) == ([], [])


def test_a_change_records_a_success_as_well_as_a_failure() -> None:
    change, notices = consequences_of(500, 200)

    assert change == HealthChange(A, NEW, succeeded=True, failed=True, paused_reason=None)
    assert notices == []


def test_the_last_attempt_of_a_batch_decides_the_health() -> None:
    assert consequences_of(500, 200)[0].health.consecutive_failures == 0
    assert consequences_of(200, 500)[0].health.consecutive_failures == 1


def test_one_batch_can_make_an_endpoint_failing_and_pause_it() -> None:
    change, notices = consequences_of(500, 500, None, 503, 500)

    assert change.health == Health(False, True, 5)
    assert change.paused_reason == "failures"
    assert notices == [NoticeKind.FAILING, NoticeKind.PAUSED]


def test_gone_pauses_with_its_own_reason() -> None:
    change, notices = consequences_of(410, 410, 500, 500)

    assert not change.health.is_active
    assert change.paused_reason == "gone"
    assert notices == [NoticeKind.GONE]


def test_a_success_after_the_pause_does_not_resume() -> None:
    change, _ = consequences_of(410, 200)

    assert change.health == Health(False, False, 0)
    assert change.paused_reason == "gone"


def test_an_endpoint_that_was_already_paused_gets_no_reason_and_no_notice() -> None:
    change, notices = consequences_of(500, 410, health=Health(False, True, 50))

    assert change == HealthChange(A, Health(False, True, 52), False, True, None)
    assert notices == []


def test_a_deleted_endpoint_is_left_out() -> None:
    changes, notices = consequences([attempted(A, 410), attempted(B, 200)], {B: NEW}, LIMITS)

    assert [change.webhook_id for change in changes] == [B]
    assert notices == []


def test_a_notice_names_the_tenant_the_endpoint_and_the_reason() -> None:
    _, [notice] = consequences([attempted(A, 410, number=7)], {A: NEW}, LIMITS)

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
        attempted,
        st.sampled_from([A, B, C]),
        st.sampled_from([200, 200, 500, 500, None, 410]),
        st.integers(0, 1000),
    ),
    max_size=40,
)
healths = st.dictionaries(
    st.sampled_from([A, B, C]), st.builds(Health, st.booleans(), st.booleans(), st.integers(0, 5))
)
limits = st.builds(HealthLimits, st.integers(1, 5), st.integers(1, 10))


def one_by_one(
    batch: Sequence[AttemptResult], health: dict[WebhookId, Health], limits: HealthLimits
) -> tuple[dict[WebhookId, Health], list[Notice]]:
    """Return health and notices when each result is a separate batch."""
    now, all_notices = dict(health), []
    for each in batch:
        changes, notices = consequences([each], now, limits)
        now |= {change.webhook_id: change.health for change in changes}
        all_notices += notices
    return now, all_notices


@given(batch=batches, health=healths, limits=limits)
def test_a_batch_has_the_same_consequences_as_its_results_one_by_one(
    batch: list[AttemptResult], health: dict[WebhookId, Health], limits: HealthLimits
) -> None:
    changes, notices = consequences(batch, health, limits)

    after, notices_one_by_one = one_by_one(batch, health, limits)
    assert health | {change.webhook_id: change.health for change in changes} == after
    assert notices == notices_one_by_one


@given(batch=batches, health=healths, limits=limits)
def test_changes_are_sorted_and_only_of_endpoints_in_the_batch(
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
def test_a_single_result_is_a_single_transition(
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
            gone = each.verdict.gone
            assert changes[0].health == after_failure(before, limits, gone=gone)[0]
