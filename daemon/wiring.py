"""Builds every part of a daemon from its configuration. Only here is anything constructed."""

from dataclasses import dataclass
from datetime import timedelta

from aiohttp import web

from daemon.admin.server.app import make_app
from daemon.admin.server.readiness import Lag, Readiness
from daemon.config import Config
from daemon.config.policies import egress_policy, health_limits, master_keys, webhook_limits
from daemon.core.policy.email_addresses import parse_address
from daemon.core.scheduling.lanes import Lanes
from daemon.egress.client import WebhookClient
from daemon.egress.proxy import Proxy
from daemon.maintenance.resealing import Resealer
from daemon.maintenance.retention import Retention
from daemon.maintenance.schema_watch import SchemaWatch
from daemon.notifications.email import EmailSettings
from daemon.notifications.mail_server import MailServer
from daemon.notifications.notifier import Notifier
from daemon.notifications.smtp import Mailer
from daemon.pipeline.attempt import AttemptMaker
from daemon.pipeline.dispatcher import Dispatcher
from daemon.pipeline.fanout import Fanout
from daemon.pipeline.lane_sync import LaneSync
from daemon.pipeline.lane_waker import LaneWaker
from daemon.pipeline.listener import Listener
from daemon.pipeline.result_writer import ResultWriter
from daemon.replay.replayer import Replayer
from daemon.runtime.loop import Heartbeats, Loop
from daemon.runtime.metrics import Metrics
from daemon.runtime.offload import Offload
from daemon.secrets.encryption import Vault
from daemon.store.database import Database

# A lease outlives the attempt by as long as the database may be away for a moment.
LEASE_BEYOND_TIMEOUT = timedelta(seconds=25)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The parts that take an event to its recorded delivery."""

    client: WebhookClient
    attempts: AttemptMaker
    fanout: Fanout
    lane_sync: LaneSync
    listener: Listener
    dispatcher: Dispatcher
    results: ResultWriter


@dataclass(frozen=True, slots=True)
class Components:
    """The parts of a running daemon."""

    pipeline: Pipeline
    vault: Vault
    offload: Offload
    resealer: Resealer
    schema_watch: SchemaWatch
    notifier: Notifier | None
    readiness: Readiness
    metrics: Metrics
    heartbeats: Heartbeats
    intake: tuple[Loop, ...]  # the loops that take on new work; they stop first


def build(config: Config, database: Database) -> Components:
    """Build every part, each with what it calls."""
    metrics, heartbeats, offload = Metrics(), Heartbeats(), Offload()
    metrics.follow_loops(heartbeats.ages)
    vault = Vault(master_keys(config))
    lanes = Lanes(slots=config.delivery.concurrency, widest=config.delivery.per_endpoint)
    waker = LaneWaker(lanes)
    pipeline = _pipeline(
        config, database, vault=vault, offload=offload, lanes=lanes, waker=waker, metrics=metrics
    )
    schema_watch = SchemaWatch(database)
    resealer = Resealer(database, vault, metrics=metrics)
    notifier = _notifier(config, database, metrics)
    retention = Retention(
        database,
        deliveries=config.retention.deliveries,
        events=config.retention.events,
        metrics=metrics,
    )
    replayer = Replayer(database, lanes, waker, metrics=metrics)
    intake: tuple[Loop, ...] = (
        *(pipeline.dispatcher, pipeline.fanout, pipeline.lane_sync, pipeline.listener),
        *(replayer, resealer, retention, schema_watch),
    )
    return Components(
        pipeline=pipeline,
        vault=vault,
        offload=offload,
        resealer=resealer,
        schema_watch=schema_watch,
        notifier=notifier,
        readiness=Readiness(heartbeats, schema_watch, lag=lambda: _lag(pipeline)),
        metrics=metrics,
        heartbeats=heartbeats,
        intake=intake if notifier is None else (*intake, notifier),
    )


def _pipeline(
    config: Config,
    database: Database,
    *,
    vault: Vault,
    offload: Offload,
    lanes: Lanes,
    waker: LaneWaker,
    metrics: Metrics,
) -> Pipeline:
    delivery = config.delivery
    lease = delivery.timeout + LEASE_BEYOND_TIMEOUT
    client = WebhookClient(
        egress_policy(config), timeout=delivery.timeout, proxy=egress_proxy(config)
    )
    attempts = AttemptMaker(client, vault, schedule=delivery.retry_schedule, offload=offload)
    results = ResultWriter(
        database, lanes, waker, limits=health_limits(config), lease=lease, metrics=metrics
    )
    dispatcher = Dispatcher(
        database, lanes, waker, attempts=attempts, results=results, lease=lease, metrics=metrics
    )
    fanout = Fanout(database, waker, metrics=metrics)
    return Pipeline(
        client=client,
        attempts=attempts,
        fanout=fanout,
        lane_sync=LaneSync(database, lanes, waker, metrics=metrics),
        listener=Listener(database, wake_fanout=fanout.wake, waker=waker),
        dispatcher=dispatcher,
        results=results,
    )


def _lag(pipeline: Pipeline) -> Lag:
    return Lag(
        fanout=pipeline.fanout.behind_seconds(),
        dispatch=pipeline.dispatcher.waited_seconds(),
        oldest_due=pipeline.lane_sync.oldest_due_seconds,
    )


def admin_app(config: Config, database: Database, components: Components) -> web.Application:
    """Build what the admin port serves: with the API, once the configuration has tokens."""
    app = make_app(readiness=components.readiness, metrics=components.metrics)
    if config.admin.tokens:
        _add_api(app, config, database, components)
    return app


def _add_api(
    app: web.Application, config: Config, database: Database, components: Components
) -> None:
    # Imported here: a third of the start-up time, which a daemon without the API is spared.
    from daemon.admin.api.auth import Access  # noqa: PLC0415
    from daemon.admin.resources.routes import api_routes  # noqa: PLC0415
    from daemon.admin.server.api_app import add_api  # noqa: PLC0415

    tokens = [token.get_secret_value() for token in config.admin.tokens]
    access = Access(tokens, allowed_hosts=config.admin.allowed_hosts)
    routes = api_routes(
        database=database,
        attempts=components.pipeline.attempts,
        offload=components.offload,
        vault=components.vault,
        policy=egress_policy(config),
        limits=webhook_limits(config),
        access=access,
    )
    add_api(app, routes, access)


def _notifier(config: Config, database: Database, metrics: Metrics) -> Notifier | None:
    """None when no mail server is configured."""
    notifications = config.notifications
    mailer = configured_mailer(config)
    if mailer is None or notifications.from_ is None:
        return None
    settings = EmailSettings(
        parse_address(notifications.from_), health_limits(config), notifications.console_url
    )
    to = [parse_address(each) for each in notifications.to]
    return Notifier(database, mailer, settings, to=to, metrics=metrics)


def configured_mailer(config: Config) -> Mailer | None:
    """Build the client of the configured mail server, if there is one."""
    url = config.notifications.smtp_url
    return None if url is None else Mailer(MailServer.from_url(url.get_secret_value()))


def egress_proxy(config: Config) -> Proxy | None:
    """The configured egress proxy, if there is one."""
    url = config.egress.proxy
    return None if url is None else Proxy.from_url(url.get_secret_value())
