"""Builds the parts of a running daemon."""

from collections.abc import Callable
from dataclasses import dataclass

from daemon.admin.server.readiness import Readiness
from daemon.config import Config
from daemon.core.scheduling.daily_quota import DailyQuota
from daemon.core.wire.body_size import PRINTED_PER_BODY
from daemon.explain.undelivered_counts import UndeliveredCounts
from daemon.maintenance.application_rows import ApplicationRows
from daemon.maintenance.backlog_watch import BacklogWatch
from daemon.maintenance.history_partitions import HistoryPartitions
from daemon.maintenance.hold_watch import HoldWatch
from daemon.maintenance.installation_guard import InstallationGuard
from daemon.maintenance.resealing import Resealer
from daemon.maintenance.retention import Retention
from daemon.maintenance.schema_watch import SchemaWatch
from daemon.maintenance.stats_folding import StatsFolding
from daemon.notifications.notifier import Notifier
from daemon.pipeline.operational_fanout import OperationalFanout
from daemon.replay.replayer import Replayer
from daemon.runtime.loop import Heartbeats, Loop
from daemon.runtime.metrics import Metrics
from daemon.runtime.offload import Offload
from daemon.secrets.encryption import Vault
from daemon.store.database import Database
from daemon.store.event_data_reader import EventDataReader
from daemon.wiring.notifications import build_notifiers
from daemon.wiring.pipeline import Pipeline, build_pipeline, lag_of
from daemon.wiring.shared import SharedParts, shared_parts


@dataclass(frozen=True, slots=True)
class Components:
    """The parts of a running daemon."""

    pipeline: Pipeline
    vault: Vault
    offload: Offload
    resealer: Resealer
    schema_watch: SchemaWatch
    notifiers: tuple[Notifier, ...]  # none without a mail server
    replayer: Replayer
    readiness: Readiness
    metrics: Metrics
    heartbeats: Heartbeats
    counts: UndeliveredCounts
    copies: DailyQuota
    intake: tuple[Loop, ...]  # the loops that take on new work; they stop first


def build(config: Config, database: Database) -> Components:
    """Build every part, each with what it calls."""
    shared, heartbeats = shared_parts(config, database), Heartbeats()
    metrics, vault, kept = shared.metrics, shared.vault, config.retention
    metrics.follow_loops(heartbeats.ages)
    pipeline = build_pipeline(shared)
    schema_watch = SchemaWatch(database)
    hold_watch = _hold_watch(database, pipeline, metrics)
    resealer = Resealer(database, vault, metrics=metrics)
    notifiers = build_notifiers(config, database, metrics)
    counts = UndeliveredCounts(database, deliveries=kept.deliveries, events=kept.events)
    replayer = _replayer(shared, pipeline)
    intake: tuple[Loop, ...] = (
        *(pipeline.dispatcher, pipeline.fanout, pipeline.fanout.search, pipeline.first_attempts),
        pipeline.open_leases,
        *(pipeline.lane_sync, pipeline.listener),
        OperationalFanout(database, shared.waker, wake=pipeline.results.wrote_events),
        *(replayer, resealer, schema_watch, hold_watch, counts),
        *_upkeep(shared),
    )
    return Components(
        pipeline=pipeline,
        vault=vault,
        offload=shared.offload,
        resealer=resealer,
        schema_watch=schema_watch,
        notifiers=notifiers,
        replayer=replayer,
        readiness=Readiness(
            *(heartbeats, schema_watch, hold_watch),
            lag=lambda: lag_of(pipeline),
            shortage=pipeline.dispatcher.shortage,
        ),
        metrics=metrics,
        heartbeats=heartbeats,
        counts=counts,
        copies=shared.copies,
        intake=(*intake, *notifiers),
    )


def _upkeep(shared: SharedParts) -> tuple[Loop, ...]:
    """The loops that keep the tables small and their figures up to date."""
    database, metrics, kept = shared.database, shared.metrics, shared.config.retention
    return (
        Retention(
            database,
            deliveries=kept.deliveries,
            events=kept.events,
            audit=kept.audit,
            metrics=metrics,
        ),
        HistoryPartitions(database, retention=kept.deliveries),
        StatsFolding(database),
        ApplicationRows(database, metrics),
        BacklogWatch(database, metrics),
    )


def _replayer(shared: SharedParts, pipeline: Pipeline) -> Replayer:
    return Replayer(
        *(shared.database, shared.lanes, shared.waker),
        kept_for=shared.config.retention.deliveries,
        reader=EventDataReader(shared.offload),
        metrics=shared.metrics,
        wake=pipeline.listener.replay_created,
        completed=pipeline.results.wrote_events,
        copies=shared.copies,
        most_bytes=shared.config.delivery.max_body_bytes * PRINTED_PER_BODY,
    )


def _hold_watch(database: Database, pipeline: Pipeline, metrics: Metrics) -> HoldWatch:
    return HoldWatch(
        *(database, metrics),
        on_hold=pipeline.first_attempts.hold,
        on_release=pipeline.lane_sync.begin_again,
        wake=pipeline.listener.holds_changed,
    )


def build_guard(
    config: Config, database: Database, *, on_change: Callable[[], None]
) -> InstallationGuard | None:
    """
    Build the guard against a database of another installation; None without a name.

    It outlives the other parts: these are built once the database is ours.
    """
    name = config.installation.name
    return None if name is None else InstallationGuard(database, name, on_change=on_change)
