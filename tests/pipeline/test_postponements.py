"""A delivery that is postponed for too long is reported, and what was made is forgotten."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from daemon.core.errors import PostponedError, ShortageError, StalledError
from daemon.core.model.attempts import Claim
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.core.model.secrets import StoredSecrets
from daemon.pipeline import postponement_lines, postponements
from daemon.pipeline.postponements import (
    FORGET_AFTER_SECONDS,
    MAX_REMEMBERED,
    SHORTAGE_SECONDS,
    Postponements,
)
from tests.support.application import Application
from tests.support.daemons import free_port, metrics_of, serving, until
from tests.support.deliveries import SHORT

TOO_LONG = "delivery.postponed_too_long"
NO_NETWORK = PostponedError("no network")


class Clock:
    def __init__(self) -> None:
        self.at = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: clock.at)
    return clock


def a_claim() -> Claim:
    at = datetime(2025, 1, 1, tzinfo=UTC)
    webhook = WebhookId(uuid4())
    return Claim(
        delivery_id=DeliveryId(uuid4()),
        webhook_id=webhook,
        tenant_id=TenantId(uuid4()),
        event_id=EventId(uuid4()),
        event_type="email.opened",
        event_created_at=at,
        data=None,
        attempt=1,
        claimed_at=at,
        leased_until=at,
        endpoint_url="https://receiver.example/",
        secrets=StoredSecrets(webhook, "secret", endpoint_url="https://receiver.example/"),
    )


def alerts(act: Callable[[], object]) -> int:
    """How many alerts `act` causes."""
    with capture_logs() as logs:
        act()
    return [each["event"] for each in logs].count(TOO_LONG)


def test_an_alert_is_raised_after_the_limit_and_once_in_each_interval(clock: Clock) -> None:
    kept, claim = Postponements(alert_after=timedelta(seconds=100)), a_claim()

    def postpone_for(seconds: int) -> None:
        for _ in range(seconds // 2):
            kept.postponed(claim, NO_NETWORK)
            clock.at += 2

    assert alerts(lambda: postpone_for(100)) == 0
    assert alerts(lambda: postpone_for(20)) == 1
    assert alerts(lambda: postpone_for(1200)) == 2
    assert kept.oldest_seconds() == pytest.approx(1320)


def test_what_was_made_begins_again(clock: Clock) -> None:
    kept, claim = Postponements(alert_after=timedelta(seconds=100)), a_claim()
    kept.postponed(claim, NO_NETWORK)
    clock.at += 101

    kept.ended(claim)

    assert kept.oldest_seconds() == 0
    assert alerts(lambda: kept.postponed(claim, NO_NETWORK)) == 0


def test_what_another_daemon_made_is_forgotten(clock: Clock) -> None:
    kept, gone, waiting = Postponements(alert_after=timedelta(days=1)), a_claim(), a_claim()
    kept.postponed(gone, NO_NETWORK)
    clock.at += 10
    kept.postponed(waiting, NO_NETWORK)
    clock.at += FORGET_AFTER_SECONDS - 5

    assert kept.oldest_seconds() == FORGET_AFTER_SECONDS - 5


def test_memory_is_bounded_and_keeps_the_oldest(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postponements, "MAX_REMEMBERED", 10)
    kept, oldest = Postponements(alert_after=timedelta(seconds=100)), a_claim()
    kept.postponed(oldest, NO_NETWORK)
    for _ in range(20):
        kept.postponed(a_claim(), NO_NETWORK)
    clock.at += 101

    assert MAX_REMEMBERED > 10
    assert len(kept._times) == 10
    assert alerts(lambda: kept.postponed(oldest, NO_NETWORK)) == 1


def test_a_lane_rests_twice_as_long_each_time_up_to_a_minute(clock: Clock) -> None:
    kept, claim = Postponements(alert_after=timedelta(days=1)), a_claim()
    rests = []
    for _ in range(7):
        until = kept.postponed(claim, NO_NETWORK)
        rests.append(until - clock.at)
        clock.at = until

    assert rests == [2, 4, 8, 16, 32, 60, 60]


def test_attempts_of_a_lane_that_are_postponed_together_prolong_its_rest_once(clock: Clock) -> None:
    kept, claim = Postponements(alert_after=timedelta(days=1)), a_claim()
    rests = {kept.postponed(claim, NO_NETWORK) for _ in range(100)}

    assert rests == {2}


def test_a_lane_rests_briefly_again_after_an_attempt_that_was_made(clock: Clock) -> None:
    kept, claim, other = Postponements(alert_after=timedelta(days=1)), a_claim(), a_claim()
    for _ in range(5):
        clock.at = max(kept.postponed(claim, NO_NETWORK), kept.postponed(other, NO_NETWORK))
    kept.ended(claim)

    assert kept.postponed(claim, NO_NETWORK) - clock.at == 2
    assert kept.postponed(other, NO_NETWORK) - clock.at == 60


def test_a_stall_makes_no_lane_rest(clock: Clock) -> None:
    kept, claim = Postponements(alert_after=timedelta(days=1)), a_claim()

    assert [kept.postponed(claim, StalledError("late")) for _ in range(5)] == [0.0] * 5


def test_the_log_has_one_line_for_each_reason_and_interval(clock: Clock) -> None:
    kept = Postponements(alert_after=timedelta(days=1))
    with capture_logs() as logs:
        for _ in range(30):
            for _ in range(100):
                kept.postponed(a_claim(), NO_NETWORK)
            kept.postponed(a_claim(), PostponedError("no proxy"))
            clock.at += 1

    lines = [(line["reason"], line["unlogged_before"]) for line in logs]
    assert lines == [
        *[("no network", 0), ("no proxy", 0)],
        *[("no network", 999), ("no proxy", 9)] * 2,
    ]


def test_the_log_remembers_a_limited_number_of_reasons(clock: Clock) -> None:
    kept = Postponements(alert_after=timedelta(days=1))
    for number in range(1000):
        kept.postponed(a_claim(), PostponedError(f"reason {number}"))

    assert len(kept._lines._reasons) == postponement_lines.MAX_REASONS


def test_a_shortage_is_named_until_it_has_not_recurred_for_a_while(clock: Clock) -> None:
    kept = Postponements(alert_after=timedelta(days=1))
    kept.postponed(a_claim(), NO_NETWORK)
    none_yet = kept.shortage()

    kept.postponed(a_claim(), ShortageError("no ports"))
    kept.postponed(a_claim(), NO_NETWORK)
    clock.at += SHORTAGE_SECONDS - 1
    named = kept.shortage()
    clock.at += 1

    assert (none_yet, named, kept.shortage()) == (None, "no ports", None)


async def test_a_daemon_whose_proxy_is_down_shows_since_when_and_alerts(
    app: Application, database: str
) -> None:
    proxy = f"http://127.0.0.1:{free_port()}"
    tenant = await app.tenant()
    await app.webhook(tenant, "http://127.0.0.1:9/")
    with capture_logs() as logs:
        async with serving(database, delivery=SHORT, egress={"proxy": proxy}) as service:
            await app.event(tenant)
            await until(lambda: TOO_LONG in [each["event"] for each in logs])
            page = await metrics_of(service)

    [line] = [x for x in page.splitlines() if x.startswith("webhookd_oldest_postponed_seconds ")]
    assert float(line.split()[1]) > 0.3
    [alert] = [each for each in logs if each["event"] == TOO_LONG]
    assert alert["log_level"] == "error"
    assert alert["reason"] == "the egress proxy cannot be reached"
