"""The installation in a response, with sentences about what should be looked at."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date

from daemon.admin import schemas
from daemon.admin.server.readiness import Readiness, Report
from daemon.admin.views.stats import stats_response
from daemon.core.model.stats import CountedStats, StatsRange
from daemon.core.model.system import DatabaseState, FailingHost
from daemon.runtime.version import program_version

# From here on something will soon stand still.
FULL_CONNECTIONS = 0.9
FULL_NOTIFICATION_QUEUE = 0.1  # as `webhookd check` warns
LONG_TRANSACTION_SECONDS = 600.0
LATE_MAIL_SECONDS = 900.0


def system_response(
    readiness: Readiness,
    *,
    hours: tuple[CountedStats, StatsRange],
    recent: tuple[CountedStats, StatsRange],
    database: DatabaseState,
    missing_partitions: Sequence[date],
    mail: schemas.MailQueue,
    hosts: Sequence[FailingHost],
) -> schemas.System:
    """Show the installation."""
    report = readiness.report()
    attention = [
        *_of_daemon(report),
        *_of_database(database, missing_partitions),
        *_of_mail(mail),
    ]
    return schemas.System(
        version=program_version(),
        started_at=readiness.started_at,
        ready=report.ready,
        attention=attention,
        loops=[
            schemas.SystemLoop(
                name=name, ok=each.ok, last_turn_seconds_ago=round(each.last_turn_seconds, 3)
            )
            for name, each in report.loops.items()
        ],
        lag=_lag(report),
        throughput=_throughput(hours, recent),
        failing_hosts=[schemas.FailingHost(**asdict(each)) for each in hosts],
        mail=mail,
        database=schemas.SystemDatabase(
            schema_version=readiness.schema_version, **asdict(database)
        ),
    )


def _lag(report: Report) -> schemas.SystemLag:
    lag = report.lag
    return schemas.SystemLag(
        ok=lag.ok,
        fanout_seconds=round(lag.fanout, 3),
        dispatch_seconds=round(lag.dispatch, 3),
        results_seconds=round(lag.results, 3),
        oldest_due_seconds=round(lag.oldest_due, 3),
        oldest_postponed_seconds=round(lag.oldest_postponed, 3),
        oldest_held_seconds=round(lag.oldest_held, 3),
    )


def _throughput(
    hours: tuple[CountedStats, StatsRange], recent: tuple[CountedStats, StatsRange]
) -> schemas.SystemThroughput:
    over_hours = stats_response(*hours, oldest_pending_seconds=None)
    now = stats_response(*recent, oldest_pending_seconds=None)
    seconds = (recent[1].until - recent[1].since).total_seconds()
    return schemas.SystemThroughput(
        per_second=round((now.delivered + now.failed) / seconds, 2),
        success_rate=now.success_rate,
        p95_ms=now.p95_ms,
        series=over_hours.series,
        complete=over_hours.complete,
    )


def _of_daemon(report: Report) -> Iterator[str]:
    if report.schema_error is not None:
        yield report.schema_error
    for name, each in report.loops.items():
        if not each.ok:
            yield f"the loop {name} had its last successful turn {each.last_turn_seconds:.0f} s ago"
    if not report.lag.ok:
        yield "this daemon does not keep up: see its lag"


def _of_database(database: DatabaseState, missing: Sequence[date]) -> Iterator[str]:
    if database.connections > FULL_CONNECTIONS * database.max_connections:
        yield (
            f"{database.connections} of the server's {database.max_connections} connections are"
            " in use"
        )
    if database.notification_queue_usage > FULL_NOTIFICATION_QUEUE:
        yield (
            f"PostgreSQL's queue of notifications is {database.notification_queue_usage:.0%} full:"
            " a session listens and stays in a transaction"
        )
    oldest = database.oldest_transaction_seconds
    if oldest is not None and oldest > LONG_TRANSACTION_SECONDS:
        yield f"a transaction has been open for {oldest / 60:.0f} minutes: dead rows pile up"
    if missing:
        days = ", ".join(str(each) for each in missing)
        yield f"webhook_deliveries has no partition for {days}"


def _of_mail(mail: schemas.MailQueue) -> Iterator[str]:
    if not mail.configured:
        return
    if mail.given_up:
        yield f"{mail.given_up} notices could not be mailed, and were given up"
    if mail.oldest_seconds is not None and mail.oldest_seconds > LATE_MAIL_SECONDS:
        yield f"a notice has waited to be mailed for {mail.oldest_seconds / 60:.0f} minutes"
