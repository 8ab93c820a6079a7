"""Builds the API, and the console and the pages that stand on it."""

from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit
from uuid import UUID

from aiohttp import web

from daemon.admin.api.audit import AuditLog
from daemon.admin.api.auth import Access
from daemon.admin.api.change_quota import ChangeQuota
from daemon.admin.api.client_address import TrustedProxies
from daemon.admin.api.idempotency import Idempotency
from daemon.admin.api.kept_answers import KeptAnswers
from daemon.admin.api.key_quota import KeyQuota
from daemon.admin.api.operation import Route
from daemon.admin.api.peer import peer_of
from daemon.admin.console.console_app import PREFIX, ConsoleSettings, add_console
from daemon.admin.console.sessions import Sessions
from daemon.admin.pages import email_confirmation
from daemon.admin.resources.delivery_settings import DeliverySettings
from daemon.admin.resources.notification_emails import NotificationEmails
from daemon.admin.resources.routes import ResourceParts, api_routes
from daemon.admin.server.api_app import add_api
from daemon.config import Config
from daemon.config.policies import (
    accepted_hosts,
    allowed_recipients,
    egress_policy,
    public_addresses,
    webhook_limits,
)
from daemon.core.model.ids import TenantId, TokenId
from daemon.explain.explainer import Explainer
from daemon.store import tenant_tokens, webhook_scopes
from daemon.store.database import Database
from daemon.store.event_data_reader import EventDataReader
from daemon.wiring.components import Components
from daemon.wiring.notifications import CONFIRMATION_PATH


@dataclass(frozen=True, slots=True)
class ApiParts:
    """Parts that the API uses; the audit log has connections of its own."""

    config: Config
    database: Database
    audit_database: Database
    components: Components


def add_api_and_console(app: web.Application, parts: ApiParts) -> None:
    """Serve the API, the console, and with a public URL the pages to which mails link."""
    config, database = parts.config, parts.database
    access = _access(config, database)
    routes = _routes(parts, access)
    proxies = TrustedProxies(config.admin.trusted_proxies)
    audit_log = AuditLog(
        parts.audit_database,
        peer_of=partial(peer_of, proxies=proxies),
        changes=ChangeQuota(config.limits.changes_per_day),
    )
    idempotency = Idempotency(database, KeptAnswers(parts.components.vault), KeyQuota())
    sessions = Sessions(database, access, operators=config.admin.tokens, proxies=proxies)
    add_api(
        app,
        routes,
        access=access,
        find_caller=lambda request: access.load_key(request) or sessions.load_key(request),
        audit_log=audit_log,
        idempotency=idempotency,
        proxies=proxies,
        allowed_origins=config.admin.allowed_origins,
        on_overload=parts.components.metrics.admin.api_requests_refused.inc,
    )
    settings = ConsoleSettings(
        urlsplit(_public_url(config)).path, config.admin.allowed_origins, proxies
    )
    add_console(
        *(app, routes, sessions),
        access=access,
        audit_log=audit_log,
        database=database,
        idempotency=idempotency,
        offload=parts.components.offload,
        settings=settings,
    )
    if config.admin.public_url is not None:
        email_confirmation.add_page(app, database, path=CONFIRMATION_PATH)


def _routes(parts: ApiParts, access: Access) -> list[Route]:
    config, components = parts.config, parts.components
    reader = EventDataReader(components.offload)
    resource_parts = ResourceParts(
        database=parts.database,
        attempts=components.pipeline.attempts,
        offload=components.offload,
        vault=components.vault,
        policy=egress_policy(config),
        limits=webhook_limits(config),
        access=access,
        emails=NotificationEmails(
            allowed_recipients(config), can_ask=config.admin.public_url is not None
        ),
        deliveries_kept_for=config.retention.deliveries,
        schedules=config.delivery.retry_schedules.keys(),
        explainer=Explainer(config.retention.deliveries, config.retention.events, reader),
        reader=reader,
        counts=components.counts,
        copies=components.copies,
        readiness=components.readiness,
        sends_mail=bool(components.notifiers),
        console_url=_public_url(config) + PREFIX,
        delivery_settings=_delivery_settings(config),
    )
    return api_routes(resource_parts)


def _delivery_settings(config: Config) -> DeliverySettings:
    delivery = config.delivery
    return DeliverySettings(
        timeout=delivery.timeout,
        schedule=delivery.retry_schedule,
        schedules=delivery.retry_schedules,
        failing_after=delivery.failing_after,
        pause_after=delivery.pause_after,
        max_body_bytes=delivery.max_body_bytes,
        public_addresses=public_addresses(config),
    )


def _access(config: Config, database: Database) -> Access:
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


def _public_url(config: Config) -> str:
    """Where people reach the admin port, without a slash at the end."""
    admin = config.admin
    if admin.public_url is not None:
        return admin.public_url.rstrip("/")
    host = f"[{admin.host}]" if ":" in admin.host else admin.host
    return f"http://{host}:{admin.port}"
