"""Builds every part of a daemon from its configuration. Only here is anything constructed."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from aiohttp import web

from daemon.admin.api.client_address import TrustedProxies
from daemon.admin.server.app import make_app
from daemon.admin.server.readiness import Lag, Readiness
from daemon.config import Config
from daemon.config.policies import (
    accepted_hosts,
    allowed_recipients,
    egress_policy,
    health_limits,
    master_keys,
    webhook_limits,
)
from daemon.core.model.ids import TenantId, TokenId
from daemon.core.policy.email_addresses import parse_address
from daemon.core.scheduling.lanes import Lanes
from daemon.core.scheduling.leases import lease_of
from daemon.core.wire.body_size import PRINTED_PER_BODY
from daemon.egress.client import WebhookClient
from daemon.egress.proxy import Proxy
from daemon.explain.event_data import EventDataReader
from daemon.explain.explainer import Explainer
from daemon.explain.undelivered_counts import UndeliveredCounts
from daemon.maintenance.application_rows import ApplicationRows
from daemon.maintenance.history_partitions import HistoryPartitions
from daemon.maintenance.resealing import Resealer
from daemon.maintenance.retention import Retention
from daemon.maintenance.schema_watch import SchemaWatch
from daemon.maintenance.stats_folding import StatsFolding
from daemon.notifications.confirmation_mails import ConfirmationMailContext, ConfirmationMails
from daemon.notifications.email import EmailSettings
from daemon.notifications.mail_server import MailServer
from daemon.notifications.notice_mail import NoticeMailContext
from daemon.notifications.notice_mails import NoticeMails
from daemon.notifications.notifier import Notifier
from daemon.notifications.outgoing import MailSource
from daemon.notifications.recipients import RecipientPolicy
from daemon.notifications.records import Records
from daemon.notifications.smtp import Mailer
from daemon.notifications.timing import Timing
from daemon.pipeline.attempt import AttemptMaker
from daemon.pipeline.delivery_inserter import DeliveryInserter
from daemon.pipeline.dispatcher import Dispatcher
from daemon.pipeline.fanout import Fanout
from daemon.pipeline.first_attempts import FirstAttempts
from daemon.pipeline.first_results import FirstResults
from daemon.pipeline.lane_sync import LaneSync
from daemon.pipeline.lane_waker import LaneWaker
from daemon.pipeline.listener import Listener
from daemon.pipeline.open_events import OpenEvents
from daemon.pipeline.operational_fanout import OperationalFanout
from daemon.pipeline.result_writer import ResultWriter
from daemon.replay.replayer import Replayer
from daemon.runtime.loop import Heartbeats, Loop
from daemon.runtime.metrics import Metrics
from daemon.runtime.offload import Offload
from daemon.runtime.stalls import StallWatch
from daemon.secrets.encryption import Vault
from daemon.store import tenant_tokens, webhook_scopes
from daemon.store.database import Database
from daemon.store.event_inbox import Leasing

if TYPE_CHECKING:
    from daemon.admin.api.auth import Access
    from daemon.admin.api.idempotency import Idempotency

# Of the page that takes the codes in mails, below admin.public_url.
CONFIRMATION_PATH = "confirm-email"
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
    counts: UndeliveredCounts
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
    operational = OperationalFanout(database, waker, wake=pipeline.results.wrote_events)
    schema_watch = SchemaWatch(database)
    resealer = Resealer(database, vault, metrics=metrics)
    notifier = _notifier(config, database, metrics)
    retention = Retention(
        database,
        deliveries=config.retention.deliveries,
        events=config.retention.events,
        audit=config.retention.audit,
        metrics=metrics,
    )
    partitions = HistoryPartitions(database, retention=config.retention.deliveries)
    counts = UndeliveredCounts(
        database, deliveries=config.retention.deliveries, events=config.retention.events
    )
    replayer = Replayer(
        *(database, lanes, waker),
        kept_for=config.retention.deliveries,
        offload=offload,
        metrics=metrics,
        wake=pipeline.listener.replay_created,
    )
    intake: tuple[Loop, ...] = (
        *(pipeline.dispatcher, pipeline.fanout, pipeline.first_attempts),
        *(pipeline.lane_sync, pipeline.listener, operational),
        *(replayer, resealer, retention, partitions, schema_watch, counts),
        *(StatsFolding(database), ApplicationRows(database)),
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
        counts=counts,
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
    client = _client(config, metrics)
    attempts = _attempts(config, client, vault, offload)
    leasing, events = _leasing(config), OpenEvents()
    first_results = FirstResults(events, leasing=leasing)
    results = ResultWriter(
        *(database, lanes, waker, first_results),
        limits=health_limits(config),
        lease=leasing.lease,
        metrics=metrics,
    )
    inserter = DeliveryInserter(database, waker, leasing=leasing, metrics=metrics)
    first_attempts = FirstAttempts(database, lanes, waker, inserter, events, leasing=leasing)
    dispatcher = Dispatcher(
        *(database, lanes, waker),
        attempts=attempts,
        first_attempts=first_attempts,
        results=results,
        lease=leasing.lease,
        most_bytes=leasing.most_bytes,
        metrics=metrics,
        alert_after=max(config.delivery.retry_schedule, default=ALERT_WITHOUT_RETRIES),
    )
    fanout = Fanout(
        *(database, first_attempts, events, inserter),
        leasing=leasing,
        offload=offload,
        metrics=metrics,
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
        results=results,
    )


def _leasing(config: Config) -> Leasing:
    """The leases of events, and of claims: what is sent from the inbox takes as long."""
    delivery = config.delivery
    return Leasing(
        lease=lease_of(delivery.timeout),
        daemon_key=secrets.randbits(63),
        most_bytes=delivery.max_body_bytes * PRINTED_PER_BODY,
    )


def _attempts(
    config: Config, client: WebhookClient, vault: Vault, offload: Offload
) -> AttemptMaker:
    return AttemptMaker(
        client,
        vault,
        schedule=config.delivery.retry_schedule,
        schedules=config.delivery.retry_schedules,
        offload=offload,
        max_body_bytes=config.delivery.max_body_bytes,
    )


def _client(config: Config, metrics: Metrics) -> WebhookClient:
    return WebhookClient(
        egress_policy(config),
        timeout=config.delivery.timeout,
        proxy=egress_proxy(config),
        stalls=StallWatch(on_stall=metrics.pipeline.observe_stall),
    )


def _lag(pipeline: Pipeline) -> Lag:
    return Lag(
        fanout=pipeline.fanout.behind_seconds(),
        dispatch=pipeline.dispatcher.waited_seconds(),
        oldest_due=pipeline.lane_sync.oldest_due_seconds,
        oldest_postponed=pipeline.dispatcher.oldest_postponed_seconds(),
        results=pipeline.results.unstored_seconds(),
        oldest_held=pipeline.results.oldest_held_seconds(),
    )


def admin_app(
    config: Config, database: Database, components: Components, *, audit_database: Database
) -> web.Application:
    """Build what the admin port serves: with the API, once the configuration has tokens."""
    app = make_app(readiness=components.readiness, metrics=components.metrics)
    if config.admin.tokens:
        _add_api(app, config, database, components, audit_database=audit_database)
    return app


def _add_api(
    app: web.Application,
    config: Config,
    database: Database,
    components: Components,
    *,
    audit_database: Database,
) -> None:
    # Imported here: a third of the start-up time, which a daemon without the API is spared.
    from daemon.admin.api.audit import AuditLog  # noqa: PLC0415
    from daemon.admin.api.peer import peer_of  # noqa: PLC0415
    from daemon.admin.resources.notification_emails import NotificationEmails  # noqa: PLC0415
    from daemon.admin.resources.routes import api_routes  # noqa: PLC0415
    from daemon.admin.server.api_app import add_api  # noqa: PLC0415

    admin, access = config.admin, _access(config, database)
    routes = api_routes(
        database=database,
        attempts=components.pipeline.attempts,
        offload=components.offload,
        vault=components.vault,
        policy=egress_policy(config),
        limits=webhook_limits(config),
        access=access,
        emails=NotificationEmails(allowed_recipients(config), can_ask=admin.public_url is not None),
        deliveries_kept_for=config.retention.deliveries,
        schedules=config.delivery.retry_schedules.keys(),
        explainer=Explainer(
            *(config.retention.deliveries, config.retention.events),
            EventDataReader(components.offload),
        ),
        counts=components.counts,
    )
    proxies = TrustedProxies(config.admin.trusted_proxies)
    audit_log = AuditLog(audit_database, peer_of=partial(peer_of, proxies=proxies))
    add_api(
        app,
        routes,
        access=access,
        audit_log=audit_log,
        idempotency=_idempotency(database, components.vault),
        proxies=proxies,
        allowed_origins=config.admin.allowed_origins,
        on_overload=components.metrics.admin.api_requests_refused.inc,
    )
    if config.admin.public_url is not None:
        _add_pages(app, database)


def _access(config: Config, database: Database) -> "Access":
    from daemon.admin.api.auth import Access  # noqa: PLC0415

    async def is_valid(token_id: TokenId) -> bool:
        async with database.connection() as db:
            return await tenant_tokens.is_valid(db, token_id)

    async def is_of_operator(tenant_id: TenantId, kind: str, object_id: UUID) -> bool:
        async with database.connection() as db:
            return await webhook_scopes.is_of_operator(db, tenant_id, kind, object_id)

    return Access(
        config.admin.tokens,
        allowed_hosts=accepted_hosts(config),
        is_valid=is_valid,
        is_of_operator=is_of_operator,
    )


def _idempotency(database: Database, vault: Vault) -> "Idempotency":
    from daemon.admin.api.idempotency import Idempotency  # noqa: PLC0415
    from daemon.admin.api.kept_answers import KeptAnswers  # noqa: PLC0415
    from daemon.admin.api.key_quota import KeyQuota  # noqa: PLC0415

    return Idempotency(database, KeptAnswers(vault), KeyQuota())


def _add_pages(app: web.Application, database: Database) -> None:
    """Serve the pages to which mails link."""
    from daemon.admin.pages import email_confirmation, webhook_page  # noqa: PLC0415

    email_confirmation.add_page(app, database, path=CONFIRMATION_PATH)
    webhook_page.add_page(app)


def _notifier(config: Config, database: Database, metrics: Metrics) -> Notifier | None:
    """None when no mail server is configured."""
    notifications = config.notifications
    mailer = configured_mailer(config)
    if mailer is None or notifications.from_ is None:
        return None
    settings = EmailSettings(
        parse_address(notifications.from_), health_limits(config), _linked_pages(config)
    )
    timing = Timing()
    records = Records(database, poll_seconds=timing.poll_seconds)
    policy = RecipientPolicy(
        [parse_address(each) for each in notifications.to], allowed_recipients(config)
    )
    sources: list[MailSource] = [
        NoticeMails(NoticeMailContext(records, settings, metrics, timing), policy)
    ]
    if config.admin.public_url is not None:
        page_url = f"{config.admin.public_url}/{CONFIRMATION_PATH}"
        context = ConfirmationMailContext(records, settings, metrics, timing, page_url)
        sources.append(ConfirmationMails(context))
    return Notifier(database, mailer, sources, timing=timing)


def _linked_pages(config: Config) -> str | None:
    """The URL below which mails find a page for each webhook; None if there is none."""
    if config.notifications.console_url is not None:
        return config.notifications.console_url
    # Served with the API.
    return config.admin.public_url if config.admin.tokens else None


def configured_mailer(config: Config) -> Mailer | None:
    """Build the client of the configured mail server, if there is one."""
    url = config.notifications.smtp_url
    return None if url is None else Mailer(MailServer.from_url(url.get_secret_value()))


def egress_proxy(config: Config) -> Proxy | None:
    """The configured egress proxy, if there is one."""
    url = config.egress.proxy
    return None if url is None else Proxy.from_url(url.get_secret_value())
