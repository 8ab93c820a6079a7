"""
For each alert, series with which it fires, and its healthy twin with which it does not.

Series are in promtool's notation, without the prefix `webhookd_` and the labels of a target.
"""

from dataclasses import dataclass
from typing import TypeAlias

Series: TypeAlias = dict[str, str]


@dataclass(frozen=True, slots=True)
class Case:
    """The series of both twins, one value each `step`; they are looked at after as long as `at`."""

    fires: Series
    healthy: Series
    step: str = "1m"
    at: str = "90m"


def gauge(name: str, fires: str, healthy: str) -> Case:
    """A gauge whose alert may wait up to 90 minutes."""
    return Case({name: f"{fires}x90"}, {name: f"{healthy}x90"})


def for_a_day(name: str, fires: str, healthy: str) -> Case:
    """A gauge whose alert waits for a day."""
    return Case({name: f"{fires}x48"}, {name: f"{healthy}x48"}, step="1h", at="36h")


def counter(name: str) -> Case:
    """A counter that grows by ten a minute, and one that stands still."""
    return Case({name: "0+10x90"}, {name: "7+0x90"})


SUCCESSES = 'attempts_total{result="success"}'
FAILURES = 'attempts_total{result="failed"}'
HELD = "everything_held"
LAG = "pending_lag_seconds"
DUE = "pending_deliveries_due"
IN_USE = 'database_connections{pool="api",state="in_use"}'
MOST = 'database_connections_max{pool="api"}'
FAILING = 'webhooks{state="failing"}'
PAUSED = 'notices_total{kind="webhook_paused"}'
QUICK = 'commit_to_send_seconds_bucket{le="5.0"}'
ALL = 'commit_to_send_seconds_bucket{le="+Inf"}'
LATER = 'commit_to_send_seconds_bucket{le="15.0"}'

CASES: dict[str, Case] = {
    "WebhookdDown": gauge("up", "0+0", "1+0"),
    "WebhookdNotReady": gauge("ready", "0+0", "1+0"),
    "WebhookdInboxOld": gauge("inbox_oldest_seconds", "61+60", "0.5+0"),
    "WebhookdFirstAttemptsLate": Case(
        {QUICK: "0+90x90", LATER: "0+100x90", ALL: "0+100x90"},
        {QUICK: "0+99x90", LATER: "0+100x90", ALL: "0+100x90"},
    ),
    "WebhookdDeliveriesLate": gauge(LAG, "1000+60", "2+0"),
    "WebhookdBacklogLarge": Case(
        {DUE: "100000+0x90", LAG: "100+60x90"},
        {DUE: "100000+0x90", LAG: "0+0x90"},  # of paused webhooks alone
    ),
    "WebhookdNothingDelivered": Case(
        {SUCCESSES: "500+0x90", FAILURES: "0+50x90", HELD: "0+0x90", LAG: "0+0x90"},
        {SUCCESSES: "500+0x90", FAILURES: "0+0x90", HELD: "1+0x90", LAG: "700+60x90"},
    ),
    "WebhookdFewSucceed": Case(
        {SUCCESSES: "0+40x90", FAILURES: "0+60x90"}, {SUCCESSES: "0+60x90", FAILURES: "0+40x90"}
    ),
    "WebhookdManyFailing": Case({FAILING: "3+0x75 60+0x30"}, {FAILING: "60+0x105"}),
    "WebhookdManyPaused": Case({PAUSED: "0+1x90"}, {PAUSED: "0+0x60 1+0x30"}),
    "WebhookdPostponed": counter("postponed_total"),
    "WebhookdResultsNotStored": gauge("oldest_result_seconds", "11+60", "0.1+0"),
    "WebhookdResultsHeld": gauge("held_results", "2+0", "0+0"),
    "WebhookdLeasesLost": counter("leases_lost_total"),
    "WebhookdEverythingHeld": gauge(HELD, "1+0", "0+0"),
    "WebhookdTenantsHeld": for_a_day("tenants_held", "2+0", "0+0"),
    "WebhookdReloadRefused": gauge("last_reload_successful", "0+0", "1+0"),
    "WebhookdRestartNeeded": for_a_day("settings_waiting_for_restart", "1+0", "0+0"),
    "WebhookdPoolUsedUp": Case(
        {IN_USE: "4+0x90", MOST: "4+0x90"}, {IN_USE: "3+0x90", MOST: "4+0x90"}
    ),
    "WebhookdSlotsUsedUp": Case(
        {"in_flight": "255+0x90", "in_flight_limit": "256+0x90"},
        {"in_flight": "128+0x90", "in_flight_limit": "256+0x90"},
    ),
    "WebhookdLoopStalls": counter("stalled_seconds_total"),
    "WebhookdPartitionsMissing": Case(
        {"history_partitions": "9+0x90", "history_partition_days_ahead": "2+0x90"},
        {"history_partitions": "0+0x90", "history_partition_days_ahead": "0+0x90"},
    ),
    "WebhookdMailFails": Case(
        {"mails_failed_total": "0+1x90", "mails_sent_total": "5+0x90"},
        {"mails_failed_total": "0+1x90", "mails_sent_total": "0+1x90"},
    ),
    "WebhookdNotificationQueue": gauge("notification_queue_usage", "0.2+0", "0+0"),
    "WebhookdReplicationStopped": gauge("subscriptions_stopped", "1+0", "0+0"),
    "WebhookdSecretsUnreadable": gauge("webhooks_unreadable", "1+0", "0+0"),
    "WebhookdMemoryHigh": gauge("process_resident_memory_bytes", "2e9+0", "9e7+0"),
    "WebhookdFilesUsedUp": Case(
        {"process_open_fds": "900+0x90", "process_max_fds": "1024+0x90"},
        {"process_open_fds": "300+0x90", "process_max_fds": "1024+0x90"},
    ),
    "WebhookdRequestsRefused": counter("api_requests_refused_total"),
}
