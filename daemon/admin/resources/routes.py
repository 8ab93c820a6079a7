"""All routes of the API, in the order of the documentation."""

from collections.abc import Set as AbstractSet
from datetime import timedelta

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
from daemon.admin.resources.webhook_deletion import WebhookDeletion
from daemon.admin.resources.webhook_limits import WebhookQuota
from daemon.admin.resources.webhook_probe import WebhookProbe
from daemon.admin.resources.webhook_stats import WebhookStats
from daemon.admin.resources.webhooks import Webhooks
from daemon.admin.server.readiness import Readiness
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.core.policy.webhook_limits import WebhookLimits
from daemon.explain.explainer import Explainer
from daemon.explain.undelivered_counts import UndeliveredCounts
from daemon.pipeline.attempt import AttemptMaker
from daemon.runtime.offload import Offload
from daemon.secrets.encryption import Vault
from daemon.store.database import Database


def api_routes(
    *,
    database: Database,
    attempts: AttemptMaker,
    offload: Offload,
    vault: Vault,
    policy: EgressPolicy,
    limits: WebhookLimits,
    access: Access,
    emails: NotificationEmails,
    schedules: AbstractSet[str],  # the names of those in the configuration
    deliveries_kept_for: timedelta,
    explainer: Explainer,
    counts: UndeliveredCounts,
    readiness: Readiness,
    sends_mail: bool,
    console_url: str,
    delivery_settings: DeliverySettings,
) -> list[Route]:
    """Make every resource, and collect the operations that its methods declare."""
    replay_starter = ReplayStarter(database, offload, kept_for=deliveries_kept_for)
    resources = (
        Webhooks(database, vault, policy, emails, WebhookQuota(limits, policy), offload, schedules),
        delivery_settings,
        WebhookDeletion(database),
        WebhookActivation(database, vault, emails, schedules),
        WebhookProbe(database),
        WebhookStats(database),
        SecretRotation(database, vault),
        TestEvents(database, attempts, offload),
        DeliverySearch(database),
        Deliveries(database, offload),
        EventFields(database),
        Events(database),
        EventTypes(),
        Explanations(database, explainer),
        UndeliveredEvents(database, explainer, counts),
        Replays(database, replay_starter),
        FailedDeliveries(database, replay_starter),
        Tenants(database, limits),
        FailingWebhooks(database),
        Holds(database),
        TenantTokens(database, access.tenant_tokens),
        PortalLinks(database, console_url),
        AuditRecords(database),
        System(database, readiness, sends_mail),
    )
    return [route for resource in resources for route in routes_of(resource)]
