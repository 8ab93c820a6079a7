"""
The house: every part of a daemon, made from the configuration and handed what it calls.

Only here is anything constructed.
"""

from dataclasses import dataclass
from datetime import timedelta

from aiohttp import web

from daemon.admin.api.auth import Access
from daemon.admin.resources.routes import api_routes
from daemon.admin.server.app import add_api, make_app
from daemon.admin.server.readiness import Readiness
from daemon.config import Config
from daemon.core.outcomes.health import HealthLimits
from daemon.core.policy.email_addresses import parse_address
from daemon.core.policy.urls import EgressPolicy
from daemon.core.scheduling.lanes import Lanes
from daemon.egress.client import WebhookClient
from daemon.egress.proxy import Proxy
from daemon.maintenance.resealing import Resealer
from daemon.maintenance.retention import Retention
from daemon.notifications.email import EmailSettings
from daemon.notifications.notifier import Notifier
from daemon.notifications.smtp import Mailer, MailServer
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
from daemon.secrets.vault import Vault
from daemon.store import migrations
from daemon.store.database import Database

# A lease outlives the attempt by as long as the database may be away for a moment.
LEASE_BEYOND_TIMEOUT = timedelta(seconds=25)


@dataclass(slots=True)
class Components:
    """The parts of a running daemon."""

    sender: WebhookClient
    vault: Vault
    deliverer: AttemptMaker
    worker: Dispatcher
    settler: ResultWriter
    listener: Listener
    custodian: Resealer
    notifier: Notifier | None
    readiness: Readiness
    metrics: Metrics
    pulse: Heartbeats
    front: tuple[Loop, ...]  # what takes on new work; stops first


def build(config: Config, database: Database) -> Components:
    """Every part, each with what it calls."""
    delivery = config.delivery
    metrics, pulse = Metrics(), Heartbeats()
    metrics.follow_loops(pulse.ages)
    lease = delivery.timeout + LEASE_BEYOND_TIMEOUT
    lanes = Lanes(slots=delivery.concurrency, widest=delivery.per_endpoint)
    bell = LaneWaker(lanes)
    sender = WebhookClient(
        egress_policy(config), timeout=delivery.timeout, proxy=egress_proxy(config)
    )
    vault = Vault(master_keys(config))
    limits = HealthLimits(delivery.failing_after, delivery.pause_after)
    settler = ResultWriter(database, lanes, bell, limits=limits, lease=lease, metrics=metrics)
    deliverer = AttemptMaker(
        sender, vault, schedule=delivery.retry_schedule, settle=settler.add, metrics=metrics
    )
    worker = Dispatcher(
        database,
        lanes,
        bell,
        make=deliverer.make,
        backlog=lambda: settler.backlog,
        lease=lease,
        metrics=metrics,
    )
    fanout = Fanout(database, bell, metrics=metrics)
    sweeper = LaneSync(database, lanes, bell, metrics=metrics)
    listener = Listener(database, wake_fanout=fanout.wake, bell=bell)
    readiness = Readiness(pulse, lag=lambda: sweeper.lag_seconds)
    readiness.schema = migrations.known()[-1].name
    custodian = Resealer(database, vault, metrics=metrics)
    replayer = Replayer(database, lanes, bell, metrics=metrics)
    notifier = _notifier(config, database, limits, metrics)
    kept = config.retention
    janitor = Retention(database, deliveries=kept.deliveries, events=kept.events, metrics=metrics)
    front: tuple[Loop, ...] = (worker, fanout, sweeper, listener, custodian, replayer, janitor)
    if notifier is not None:
        front = (*front, notifier)
    return Components(
        sender=sender,
        vault=vault,
        deliverer=deliverer,
        worker=worker,
        settler=settler,
        listener=listener,
        custodian=custodian,
        notifier=notifier,
        readiness=readiness,
        metrics=metrics,
        pulse=pulse,
        front=front,
    )


def app_of(config: Config, database: Database, house: Components) -> web.Application:
    """What the house serves: the API with it, once there are operators."""
    app = make_app(readiness=house.readiness, metrics=house.metrics)
    admin = config.admin
    if not admin.tokens:
        return app
    tokens = [token.get_secret_value() for token in admin.tokens]
    access = Access(tokens, allowed_hosts=admin.allowed_hosts)
    routes = api_routes(
        database=database,
        attempt_maker=house.deliverer,
        vault=house.vault,
        policy=egress_policy(config),
        access=access,
    )
    add_api(app, routes, access)
    return app


def _notifier(
    config: Config, database: Database, limits: HealthLimits, metrics: Metrics
) -> Notifier | None:
    """None when there is no mail server to give letters to."""
    notifications = config.notifications
    mailer = configured_mailer(config)
    if mailer is None or notifications.from_ is None:
        return None
    head = EmailSettings(parse_address(notifications.from_), limits, notifications.console_url)
    to = [parse_address(each) for each in notifications.to]
    return Notifier(database, mailer, head, to=to, metrics=metrics)


def configured_mailer(config: Config) -> Mailer | None:
    url = config.notifications.smtp_url
    return None if url is None else Mailer(MailServer.from_url(url.get_secret_value()))


def egress_policy(config: Config) -> EgressPolicy:
    """The operator's egress settings as the rule that upholds them."""
    egress = config.egress
    return EgressPolicy(egress.allow_http, egress.allow_networks, egress.allow_ports)


def egress_proxy(config: Config) -> Proxy | None:
    url = config.egress.proxy
    return None if url is None else Proxy.from_url(url.get_secret_value())


def master_keys(config: Config) -> list[str]:
    return [key.get_secret_value() for key in config.security.master_keys]
