"""Metrics: their names, labels and values as Prometheus reads them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from daemon.core.model.attempts import (
    AttemptResult,
    Claim,
    Failure,
    FailureKind,
    Outcome,
    Response,
    Verdict,
)
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.core.model.notices import NoticeKind
from daemon.core.model.pool_usage import PoolUsage
from daemon.core.model.secrets import StoredSecrets
from daemon.runtime.metrics import Metrics
from tests.support.samples import samples as samples_of

AN_ID = UUID(int=1)
CLAIM = Claim(
    delivery_id=DeliveryId(AN_ID),
    webhook_id=WebhookId(AN_ID),
    tenant_id=TenantId(AN_ID),
    event_id=EventId(AN_ID),
    event_type="email.sent",
    event_created_at=datetime(2025, 11, 25, tzinfo=UTC),
    data=None,
    attempt=1,
    claimed_at=datetime(2025, 11, 25, tzinfo=UTC),
    leased_until=datetime(2025, 11, 25, tzinfo=UTC),
    endpoint_url="https://example.com",
    secrets=StoredSecrets(WebhookId(AN_ID), "whsec_x", endpoint_url="https://example.com"),
)
SOON = timedelta(minutes=1)


def attempt_result(
    result: int | FailureKind, retry_in: timedelta | None = None, took_ms: int = 40
) -> AttemptResult:
    if isinstance(result, FailureKind):
        outcome = Outcome(Failure(result, "no"), took_ms)
        return AttemptResult(CLAIM, outcome, Verdict(False, None, "no", retry_in), None)
    outcome = Outcome(Response(result, (), ""), took_ms)
    delivered = 200 <= result <= 299
    return AttemptResult(CLAIM, outcome, Verdict(delivered, result, None, retry_in), None)


def scraped(metrics: Metrics) -> dict[str, float]:
    """Return every sample by its name and labels, as Prometheus reads it."""
    return samples_of(metrics.render().decode())


def test_every_documented_metric_exists_from_the_start_at_zero() -> None:
    metrics = Metrics()
    metrics.follow_loops(lambda: {"fanout": 0.0})

    samples = scraped(metrics)

    documented = [
        "webhookd_events_fanned_out_total",
        "webhookd_deliveries_created_total",
        "webhookd_replayed_deliveries_total",
        *(f"webhookd_attempts_total result={each}" for each in ("success", "failed", "exhausted")),
        *(f"webhookd_attempt_faults_total fault={fault.value}" for fault in FailureKind),
        *(
            f"webhookd_responses_total class={each}"
            for each in ("2xx", "3xx", "4xx", "5xx", "none")
        ),
        *(f"webhookd_notices_total kind={kind.value}" for kind in NoticeKind),
        *(f"webhookd_mails_{each}_total" for each in ("sent", "failed")),
        *(f"webhookd_notices_{each}_total" for each in ("merged", "put_off")),
        "webhookd_confirmations_sent_total",
        "webhookd_attempt_seconds_count",
        "webhookd_commit_to_send_seconds_count",
        "webhookd_claim_seconds_count",
        "webhookd_result_store_seconds_count",
        "webhookd_result_batch_size_count",
        "webhookd_leases_lost_total",
        "webhookd_in_flight",
        "webhookd_pending_lag_seconds",
        "webhookd_endpoints_due",
        "webhookd_loop_last_turn_seconds loop=fanout",
    ]
    assert {name: samples.get(name) for name in documented} == dict.fromkeys(documented, 0.0)


def test_the_build_and_the_process_are_described() -> None:
    samples = scraped(Metrics())

    (build,) = [name for name in samples if name.startswith("webhookd_build_info")]
    assert "python=3." in build
    assert samples["process_open_fds"] > 0


def test_no_sample_is_written_twice() -> None:
    text = Metrics().render().decode()

    lines = [line for line in text.splitlines() if not line.startswith("#")]
    names = [line.rpartition(" ")[0] for line in lines]
    assert len(set(names)) == len(names)
    assert [name for name in names if name.partition("{")[0].endswith("_created")] == []


def test_attempts_are_counted_by_result_fault_and_status_class() -> None:
    metrics = Metrics()

    metrics.attempts.observe(
        [
            attempt_result(200),
            attempt_result(204, took_ms=6000),
            attempt_result(302, SOON),
            attempt_result(404, SOON),
            attempt_result(503),
            attempt_result(999, SOON),
            attempt_result(FailureKind.TIMEOUT, SOON),
            attempt_result(FailureKind.TIMEOUT, SOON),
            attempt_result(FailureKind.TLS),
        ]
    )

    samples = {name: value for name, value in scraped(metrics).items() if value}
    attempts = {
        name: n for name, n in samples.items() if "_total" in name and "process" not in name
    }
    assert attempts == {
        "webhookd_attempts_total result=success": 2,
        "webhookd_attempts_total result=failed": 5,
        "webhookd_attempts_total result=exhausted": 2,
        "webhookd_responses_total class=2xx": 2,
        "webhookd_responses_total class=3xx": 1,
        "webhookd_responses_total class=4xx": 1,
        "webhookd_responses_total class=5xx": 1,
        "webhookd_responses_total class=other": 1,
        "webhookd_responses_total class=none": 3,
        "webhookd_attempt_faults_total fault=timeout": 2,
        "webhookd_attempt_faults_total fault=tls": 1,
    }
    assert samples["webhookd_attempt_seconds_count"] == 9
    assert samples["webhookd_attempt_seconds_bucket le=0.05"] == 8
    assert samples["webhookd_attempt_seconds_sum"] == pytest.approx(8 * 0.04 + 6)


@pytest.mark.parametrize(
    ("status", "label"),
    [(199, "other"), (200, "2xx"), (299, "2xx"), (300, "3xx"), (599, "5xx"), (600, "other")],
)
def test_the_status_class_changes_at_the_hundreds(status: int, label: str) -> None:
    metrics = Metrics()

    metrics.attempts.observe([attempt_result(status)])

    assert scraped(metrics)[f"webhookd_responses_total class={label}"] == 1


def test_what_the_loops_report_is_rendered() -> None:
    metrics = Metrics()

    metrics.pipeline.events_fanned_out.inc(3)
    metrics.pipeline.events_fanned_out.inc(1)
    metrics.pipeline.deliveries_created.inc(7)
    metrics.pipeline.deliveries_created.inc(0)
    metrics.pipeline.replayed_deliveries.inc(5)
    metrics.pipeline.claim_seconds.observe(0.003)
    metrics.results.result_store_seconds.observe(0.02)
    metrics.results.result_batch_size.observe(50)
    metrics.attempts.observe_commit_to_send(-2.0)
    metrics.results.leases_lost.inc()
    metrics.maintenance.rows_deleted["deliveries"].inc(500)
    metrics.notifications.notices[NoticeKind.PAUSED].inc()
    metrics.pipeline.pending_lag_seconds.set(1.5)
    metrics.pipeline.endpoints_due.set(4)
    metrics.pipeline.in_flight.set(9)

    samples = scraped(metrics)
    expected = {
        "webhookd_events_fanned_out_total": 4,
        "webhookd_deliveries_created_total": 7,
        "webhookd_replayed_deliveries_total": 5,
        "webhookd_claim_seconds_sum": 0.003,
        "webhookd_result_store_seconds_sum": 0.02,
        "webhookd_result_batch_size_bucket le=50.0": 1,
        "webhookd_result_batch_size_bucket le=20.0": 0,
        "webhookd_commit_to_send_seconds_sum": 0,
        "webhookd_commit_to_send_seconds_count": 1,
        "webhookd_leases_lost_total": 1,
        "webhookd_rows_deleted_total table=deliveries": 500,
        "webhookd_rows_deleted_total table=events": 0,
        "webhookd_notices_total kind=webhook_paused": 1,
        "webhookd_notices_total kind=webhook_gone": 0,
        "webhookd_pending_lag_seconds": 1.5,
        "webhookd_endpoints_due": 4,
        "webhookd_in_flight": 9,
    }
    assert {name: samples[name] for name in expected} == expected


def test_the_ages_of_loops_are_read_at_each_scrape_and_not_before() -> None:
    metrics = Metrics()
    ages: dict[str, float] = {}
    reads: list[None] = []

    def read_ages() -> dict[str, float]:
        reads.append(None)
        return ages

    metrics.follow_loops(read_ages)
    before = list(reads)
    ages |= {"fanout": 0.5, "sweep": 2.0}

    samples = scraped(metrics)

    assert before == []
    assert samples["webhookd_loop_last_turn_seconds loop=fanout"] == 0.5
    assert samples["webhookd_loop_last_turn_seconds loop=sweep"] == 2.0


def test_two_daemons_in_one_process_count_separately() -> None:
    ours, theirs = Metrics(), Metrics()

    ours.results.leases_lost.inc()

    assert scraped(theirs)["webhookd_leases_lost_total"] == 0


def test_the_content_type_is_that_of_the_text_format() -> None:
    assert Metrics().content_type.startswith("text/plain; version=")


def test_a_refused_reload_shows_until_one_succeeds() -> None:
    metrics = Metrics()
    shown = [scraped(metrics)]

    metrics.reload.refused()
    shown.append(scraped(metrics))
    metrics.reload.succeeded(waiting=2)
    shown.append(scraped(metrics))

    assert [each["webhookd_last_reload_successful"] for each in shown] == [1, 0, 1]
    assert [each["webhookd_settings_waiting_for_restart"] for each in shown] == [0, 0, 2]


def test_checks_and_pools_are_read_at_each_scrape() -> None:
    metrics = Metrics()
    metrics.follow_checks(lambda: (False, {"database": False, "loops": True}))
    metrics.follow_pools({"api": lambda: PoolUsage(opened=3, idle=1, most=4)})

    samples = scraped(metrics)

    assert samples["webhookd_ready"] == 0
    assert samples["webhookd_check_ok check=database"] == 0
    assert samples["webhookd_check_ok check=loops"] == 1
    assert samples["webhookd_database_connections pool=api state=in_use"] == 2
    assert samples["webhookd_database_connections pool=api state=idle"] == 1
    assert samples["webhookd_database_connections_max pool=api"] == 4
