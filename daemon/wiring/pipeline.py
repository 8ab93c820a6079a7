"""Builds the parts that take an event to its recorded delivery."""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from daemon.admin.server.readiness import Lag
from daemon.config import Config
from daemon.config.policies import egress_policy, health_limits
from daemon.core.scheduling.leases import lease_of
from daemon.core.scheduling.slow_tenants import SlowTenants
from daemon.core.wire.body_size import PRINTED_PER_BODY
from daemon.egress.client import WebhookClient
from daemon.egress.proxy import Proxy
from daemon.pipeline.attempt import AttemptMaker
from daemon.pipeline.attempt_spans import AttemptSpans
from daemon.pipeline.delivery_inserter import DeliveryInserter
from daemon.pipeline.dispatcher import Dispatcher
from daemon.pipeline.fanout import Fanout
from daemon.pipeline.first_attempts import FirstAttempts
from daemon.pipeline.first_results import FirstResults
from daemon.pipeline.inbox_reader import SLOW_PAGES
from daemon.pipeline.lane_sync import LaneSync
from daemon.pipeline.listener import Listener
from daemon.pipeline.open_events import OpenEvents
from daemon.pipeline.open_leases import OpenLeases
from daemon.pipeline.result_writer import ResultWriter
from daemon.runtime.metrics import Metrics
from daemon.runtime.stalls import StallWatch
from daemon.runtime.tracing import Tracing
from daemon.store import inbox_leases
from daemon.store.leased_events import Leasing
from daemon.wiring.shared import SharedParts

# An attempt may be postponed for as long as the longest step of the schedule, if there is one.
ALERT_WITHOUT_RETRIES = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The parts that take an event to its recorded delivery."""

    client: WebhookClient
    attempts: AttemptMaker
    fanout: Fanout
    lane_sync: LaneSync
    listener: Listener
    dispatcher: Dispatcher
    first_attempts: FirstAttempts
    open_leases: OpenLeases
    results: ResultWriter
    tracing: Tracing | None


def build_pipeline(shared: SharedParts) -> Pipeline:
    """Build the parts in the order in which one calls the other, the last first."""
    config, database, metrics = shared.config, shared.database, shared.metrics
    lanes, waker = shared.lanes, shared.waker
    client, tracing = _client(config, metrics), _tracing(config, metrics)
    attempts = _attempts(shared, client, tracing)
    leasing, events = _leasing(config), OpenEvents()
    slow = SlowTenants(slow_from=SLOW_PAGES)
    results = ResultWriter(
        *(database, lanes, waker, FirstResults(events, leasing=leasing)),
        limits=health_limits(config),
        lease=leasing.lease,
        metrics=metrics,
        slow=slow,
    )
    inserter = DeliveryInserter(database, waker, leasing=leasing, metrics=metrics)
    first_attempts = FirstAttempts(database, lanes, waker, inserter, events, leasing=leasing)
    dispatcher = Dispatcher(
        *(database, lanes, waker),
        attempts=attempts,
        first_attempts=first_attempts,
        results=results,
        leasing=leasing,
        metrics=metrics,
        alert_after=max(config.delivery.retry_schedule, default=ALERT_WITHOUT_RETRIES),
    )
    fanout = Fanout(
        *(database, first_attempts, dispatcher, events, inserter),
        leasing=leasing,
        offload=shared.offload,
        metrics=metrics,
        slow=slow,
    )
    return Pipeline(
        client=client,
        attempts=attempts,
        fanout=fanout,
        lane_sync=LaneSync(database, lanes, waker, metrics=metrics),
        listener=Listener(
            database, metrics, wake_fanout=fanout.wake, waker=waker, daemon_key=leasing.daemon_key
        ),
        dispatcher=dispatcher,
        first_attempts=first_attempts,
        open_leases=OpenLeases(database, events, leasing=leasing),
        results=results,
        tracing=tracing,
    )


def _leasing(config: Config) -> Leasing:
    """The leases of events, and of claims: what is sent from the inbox takes as long."""
    delivery = config.delivery
    return Leasing(
        lease=lease_of(delivery.timeout),
        daemon_key=_daemon_key(config),
        most_bytes=delivery.max_body_bytes * PRINTED_PER_BODY,
        installation=config.installation.name,
    )


def _daemon_key(config: Config) -> int:
    key = secrets.randbits(62) + 1
    return key if config.database.keeps_sessions else key * inbox_leases.LOCKLESS


def _attempts(shared: SharedParts, client: WebhookClient, tracing: Tracing | None) -> AttemptMaker:
    config = shared.config
    propagate = config.tracing.propagate
    spans = None if tracing is None else AttemptSpans(tracing.tracer, propagate=propagate)
    return AttemptMaker(
        client,
        shared.vault,
        schedule=config.delivery.retry_schedule,
        schedules=config.delivery.retry_schedules,
        offload=shared.offload,
        max_body_bytes=config.delivery.max_body_bytes,
        spans=spans,
    )


def _tracing(config: Config, metrics: Metrics) -> Tracing | None:
    endpoint = config.tracing.otlp_endpoint
    if endpoint is None:
        return None
    return Tracing(endpoint, sample_percent=config.tracing.sample_percent, metrics=metrics)


def _client(config: Config, metrics: Metrics) -> WebhookClient:
    client = WebhookClient(
        egress_policy(config),
        timeout=config.delivery.timeout,
        proxy=egress_proxy(config),
        stalls=StallWatch(on_stall=metrics.pipeline.observe_stall),
    )
    client.follow_by(metrics.egress)
    return client


def lag_of(pipeline: Pipeline) -> Lag:
    return Lag(
        fanout=pipeline.fanout.behind_seconds(),
        dispatch=pipeline.dispatcher.waited_seconds(),
        oldest_due=pipeline.lane_sync.oldest_due_seconds,
        oldest_postponed=pipeline.dispatcher.oldest_postponed_seconds(),
        results=pipeline.results.unstored_seconds(),
        oldest_held=pipeline.results.oldest_held_seconds(),
    )


def egress_proxy(config: Config) -> Proxy | None:
    """The configured egress proxy, if there is one."""
    url = config.egress.proxy
    return None if url is None else Proxy.from_url(url.get_secret_value())
