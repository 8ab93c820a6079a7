"""The sample data of the demo: three tenants, their webhooks, and an endless series of events."""

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any
from uuid import uuid4

from daemon.core.event_types import EVENT_TYPES, sample_data
from daemon.core.model.ids import EventId, TenantId, WebhookId
from daemon.core.model.secrets import StoredSecrets
from daemon.core.model.webhooks import WebhookSettings
from daemon.core.wire.event_ids import public_event_id
from daemon.store import webhooks
from daemon.store.session import Connection
from daemon.store.tenants import add as add_tenant

# The status an endpoint answers to its n-th event at the given attempt; both count from 1.
StatusRule = Callable[[int, int], int]


def always_succeed(_event: int, _attempt: int) -> int:
    """A working endpoint."""
    return 200


def sometimes_fail(event: int, attempt: int) -> int:
    """An unstable endpoint: every third event needs a second attempt, some need a third."""
    if event % 7 == 5 and attempt <= 2:
        return 502
    return 503 if event % 3 == 2 and attempt == 1 else 200


@dataclass(slots=True)
class MostlyFailing:
    """An overloaded endpoint: every ninth request succeeds, so that it fails, and is not paused."""

    requests: int = 0

    def __call__(self, _event: int, _attempt: int) -> int:
        """The status of the next answer."""
        self.requests += 1
        return 503 if self.requests % 9 else 200


def always_fail(_event: int, _attempt: int) -> int:
    """An endpoint that is down."""
    return 500


@dataclass(slots=True)
class SampleWebhook:
    """One webhook, and how the endpoint behind it answers; `description` is for the display."""

    tenant_id: TenantId
    path: str
    name: str
    description: str
    status_rule: StatusRule = always_succeed
    event_types: tuple[str, ...] | None = None
    event_filters: dict[str, Any] | None = None
    id: WebhookId = field(default_factory=lambda: WebhookId(uuid4()))
    secret: str = field(default_factory=lambda: f"whsec_{secrets.token_hex(32)}")


@dataclass(frozen=True, slots=True)
class SampleTenant:
    """One tenant with its webhooks."""

    id: TenantId
    name: str
    webhooks: tuple[SampleWebhook, ...]


@dataclass(frozen=True, slots=True)
class SampleEvent:
    """An event to publish; `data` is JSON text."""

    id: EventId
    tenant_id: TenantId
    type: str
    data: str

    @property
    def public_id(self) -> str:
        """The `id` in the body of its deliveries."""
        return public_event_id(self.id)


VIP_FILTER = {
    "event_types": ["email.opened", "email.clicked"],
    "filters": {"contact.tags": ["vip", "premium"]},
}
EMAIL_TYPES = ("email.*",)
CAMPAIGN_TYPES = ("campaign.*",)
UNSUBSCRIBED_TYPES = ("email.unsubscribed", "contact.unsubscribed")


def sample_tenants() -> tuple[SampleTenant, SampleTenant, SampleTenant]:
    """Return tenants with fresh ids and secrets; the last one has no webhooks."""
    acme, globex = TenantId(uuid4()), TenantId(uuid4())
    return (
        SampleTenant(
            acme,
            "Acme Outreach",
            (
                SampleWebhook(acme, "/crm", "CRM Sync", "all events"),
                SampleWebhook(
                    acme, "/stats", "Click Stats", "email.*; sometimes fails", sometimes_fail,
                    EMAIL_TYPES,
                ),
                SampleWebhook(
                    acme, "/vip", "VIP Alerts", "email.opened, email.clicked of VIP contacts",
                    event_filters=VIP_FILTER,
                ),
                SampleWebhook(
                    acme, "/lake", "Data Lake", "campaign.*; mostly fails", MostlyFailing(),
                    CAMPAIGN_TYPES,
                ),
                SampleWebhook(
                    acme, "/erp", "Old ERP", "email.*; is down at first", always_fail, EMAIL_TYPES
                ),
            ),
        ),
        SampleTenant(
            globex,
            "Globex Mailing",
            (
                SampleWebhook(
                    globex, "/bot", "Campaign Bot", "campaign.*", event_types=CAMPAIGN_TYPES
                ),
                SampleWebhook(
                    globex, "/consent", "Consent Log", ", ".join(UNSUBSCRIBED_TYPES),
                    event_types=UNSUBSCRIBED_TYPES,
                ),
            ),
        ),
        SampleTenant(TenantId(uuid4()), "Initech", ()),
    )  # fmt: skip


async def add_tenants(db: Connection, tenants: Sequence[SampleTenant], base_url: str) -> None:
    """Insert the tenants and their webhooks, whose endpoints are below `base_url`."""
    for tenant in tenants:
        await add_tenant(db, tenant.id, tenant.name)
        for webhook in tenant.webhooks:
            filters = webhook.event_filters
            settings = WebhookSettings(
                name=webhook.name,
                description=webhook.description,
                endpoint_url=base_url + webhook.path,
                event_types=webhook.event_types,
                event_filters=None if filters is None else json.dumps(filters),
                notification_email=None,
            )
            stored = StoredSecrets(webhook.id, webhook.secret, endpoint_url=settings.endpoint_url)
            await webhooks.insert(db, tenant.id, settings, stored, is_active=True)


# First name, last name, and the tag that the VIP filter looks for.
CONTACTS = (
    ("Sarah", "Johnson", "vip"),
    ("Amir", "Haddad", "newsletter"),
    ("Noor", "de Vries", "vip"),
    ("José", "Ramírez", "newsletter"),
    ("Yuki", "Tanaka", "newsletter"),
)


def sample_events(tenants: Sequence[SampleTenant]) -> Iterator[SampleEvent]:
    """Yield events without end: all 13 types in turn for the first tenant, some for the second."""
    first, second, *_ = tenants
    contacts = cycle(CONTACTS)
    for event_type in cycle(EVENT_TYPES):
        contact = next(contacts)
        yield _sample_event(first, event_type.name, contact)
        if event_type.name.endswith((".launched", ".unsubscribed")):
            yield _sample_event(second, event_type.name, contact)


def _sample_event(
    tenant: SampleTenant, event_type: str, contact: tuple[str, str, str]
) -> SampleEvent:
    data = sample_data(event_type)
    first_name, last_name, tag = contact
    if "contact" in data:
        data["contact"] |= {"first_name": first_name, "last_name": last_name, "tags": [tag]}
    if "email_id" in data:
        data["email_id"] = f"msg_{secrets.token_hex(4)}"
    return SampleEvent(
        EventId(uuid4()), tenant.id, event_type, json.dumps(data, ensure_ascii=False)
    )
