"""All routes of the API, in the order of the documentation."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain

from daemon.admin.api.auth import Access
from daemon.admin.api.operation import Route, routes_of
from daemon.admin.resources.audit_records import AuditRecords
from daemon.admin.resources.deliveries import Deliveries
from daemon.admin.resources.delivery_search import DeliverySearch
from daemon.admin.resources.delivery_settings import DeliverySettings
from daemon.admin.resources.event_fields import EventFields
from daemon.admin.resources.event_types import EventTypes
from daemon.admin.resources.events import Events
from daemon.admin.resources.explanations import Explanations
from daemon.admin.resources.failed_deliveries import FailedDeliveries
from daemon.admin.resources.failing_webhooks import FailingWebhooks
from daemon.admin.resources.holds import Holds
from daemon.admin.resources.notification_emails import NotificationEmails
from daemon.admin.resources.portal_links import PortalLinks
from daemon.admin.resources.replay_starter import ReplayStarter
from daemon.admin.resources.replays import Replays
from daemon.admin.resources.secret_rotation import SecretRotation
from daemon.admin.resources.system import System
from daemon.admin.resources.tenant_tokens import TenantTokens
from daemon.admin.resources.tenants import Tenants
from daemon.admin.resources.test_events import TestEvents
from daemon.admin.resources.undelivered_events import UndeliveredEvents
from daemon.admin.resources.webhook_activation import WebhookActivation
from daemon.admin.resources.webhook_creation import WebhookCreation
from daemon.admin.resources.webhook_deletion import WebhookDeletion
from daemon.admin.resources.webhook_limits import WebhookQuota
from daemon.admin.resources.webhook_probe import WebhookProbe
from daemon.admin.resources.webhook_stats import WebhookStats
from daemon.admin.resources.webhooks import Webhooks
from daemon.admin.server.readiness import Readiness
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.core.policy.webhook_limits import WebhookLimits
from daemon.core.scheduling.daily_quota import DailyQuota
from daemon.explain.explainer import Explainer
from daemon.explain.undelivered_counts import UndeliveredCounts
from daemon.pipeline.attempt import AttemptMaker
from daemon.runtime.offload import Offload
from daemon.secrets.encryption import Vault
from daemon.store.database import Database
from daemon.store.event_data_reader import EventDataReader


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceParts:
    """Dependencies of the resources; `schedules` are the names of those in the configuration."""

    database: Database
    attempts: AttemptMaker
    offload: Offload
    vault: Vault
    policy: EgressPolicy
    limits: WebhookLimits
    access: Access
    emails: NotificationEmails
    schedules: AbstractSet[str]
    deliveries_kept_for: timedelta
    explainer: Explainer
    reader: EventDataReader
    counts: UndeliveredCounts
    copies: DailyQuota
    readiness: Readiness
    sends_mail: bool
    console_url: str
    delivery_settings: DeliverySettings


def api_routes(parts: ResourceParts) -> list[Route]:
    """Make every resource, and collect the operations that its methods declare."""
    resources = chain(
        _webhook_resources(parts), _delivery_resources(parts), _operator_resources(parts)
    )
    return [route for resource in resources for route in routes_of(resource)]


def _webhook_resources(parts: ResourceParts) -> Iterator[object]:
    database, vault, emails = parts.database, parts.vault, parts.emails
    quota = WebhookQuota(parts.limits, parts.policy)
    of_settings = (database, vault, parts.policy, emails, quota, parts.offload, parts.schedules)
    yield WebhookCreation(*of_settings)
    yield Webhooks(*of_settings)
    yield parts.delivery_settings
    yield WebhookDeletion(database)
    yield WebhookActivation(database, vault, emails, parts.schedules)
    yield WebhookProbe(database)
    yield WebhookStats(database)
    yield SecretRotation(database, vault)
    yield TestEvents(database, parts.attempts, parts.offload)


def _delivery_resources(parts: ResourceParts) -> Iterator[object]:
    database, explainer = parts.database, parts.explainer
    replay_starter = ReplayStarter(database, parts.reader, kept_for=parts.deliveries_kept_for)
    yield DeliverySearch(database)
    yield Deliveries(database, parts.offload, parts.copies)
    yield EventFields(database)
    yield Events(database, parts.offload)
    yield EventTypes()
    yield Explanations(database, explainer)
    yield UndeliveredEvents(database, explainer, parts.counts)
    yield Replays(database, replay_starter)
    yield FailedDeliveries(database, replay_starter)


def _operator_resources(parts: ResourceParts) -> Iterator[object]:
    database = parts.database
    yield Tenants(database, parts.limits)
    yield FailingWebhooks(database)
    yield Holds(database)
    yield TenantTokens(database, parts.access.tenant_tokens)
    yield PortalLinks(database, parts.console_url)
    yield AuditRecords(database)
    yield System(database, parts.readiness, parts.sends_mail)
