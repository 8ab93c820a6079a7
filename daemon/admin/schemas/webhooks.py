"""Webhooks: requests that create and update them, and the responses that show them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from daemon.admin.schemas.base import RequestModel, ResponseModel
from daemon.admin.schemas.delivery_options import InFlight, PerSecond, ScheduleName, Timeout
from daemon.admin.schemas.event_filters import EventFilters
from daemon.admin.schemas.fields import (
    Description,
    EndpointUrl,
    EventTypePatterns,
    HeaderChanges,
    Headers,
    MailAddress,
    Name,
    Text,
)
from daemon.admin.schemas.stats import StatsSummary
from daemon.egress.client_certificate import LONGEST_PEM

Scope = Literal["events", "account", "operator"]


def _remove_defaults(schema: dict[str, Any]) -> None:
    """An update leaves an absent member unchanged, so that its default means nothing."""
    for member in schema["properties"].values():
        member.pop("default", None)


class ClientCertificate(RequestModel):
    """Client certificate chain and private key (PEM), presented for mutual TLS."""

    certificate: Annotated[Text, Field(max_length=LONGEST_PEM)]
    """The certificate chain, in PEM."""
    key: Annotated[Text, Field(max_length=LONGEST_PEM)]
    """The private key in PEM, without a passphrase."""


class CreateWebhookRequest(RequestModel):
    """The settings of a new webhook."""

    name: Name
    endpoint_url: EndpointUrl
    """The URL that receives events. It is checked now, and its addresses at every attempt."""
    description: Description | None = None
    event_types: EventTypePatterns | None = None
    """Null or an empty list subscribes to every type."""
    event_filters: EventFilters | None = None
    scope: Scope = "events"
    """
    `events` gets the application's events, `account` the operational events of its tenant, and
    `operator` those of all tenants. Only operators may set `operator`; tenants do not see such a
    webhook.
    """
    is_active: bool = True
    custom_headers: Headers | None = None
    """Headers to add to every request, such as Authorization. Their values are never shown."""
    client_certificate: ClientCertificate | None = None
    notification_email: MailAddress | None = None
    """
    Receives the notices about this webhook, in place of the administrators. Unless operators allow
    the address, it gets one mail first, and its owner has to confirm it.
    """
    timeout: Timeout | None = None
    """How long one attempt may take, from 1s to 30s. Null is the installation's default."""
    max_per_second: PerSecond | None = None
    """
    The most attempts that begin in a second; 0.1 is one every ten seconds. Null is no limit. What
    waits for its turn spends no attempt. Test events do not count.
    """
    max_in_flight: InFlight | None = None
    """The most attempts at the same time. Null is no limit of its own. Test events do not count."""
    retry_schedule: ScheduleName | None = None
    """The name of a schedule that the installation offers. Null is its default."""
    client_errors_final: bool = False
    """Whether a status of 400 to 499 ends the delivery, other than 408, 425 and 429."""
    dry_run: bool = False
    """Only check the settings; create nothing."""


class WebhookCheck(ResponseModel):
    """Settings that could be those of a webhook."""

    warnings: list[str]
    """Settings that are valid but perhaps not intended."""


class UpdateWebhookRequest(RequestModel):
    """The settings to change; an absent member keeps its value."""

    model_config = ConfigDict(json_schema_extra=_remove_defaults)

    name: Name = ""
    endpoint_url: EndpointUrl = ""
    description: Description | None = None
    event_types: EventTypePatterns | None = None
    event_filters: EventFilters | None = None
    scope: Scope = "events"
    is_active: bool = True
    """False pauses the webhook, true resumes it."""
    custom_headers: HeaderChanges | None = None
    """
    Merged with the stored headers (RFC 7396): a null value removes that header, null in place of
    the object removes them all.
    """
    client_certificate: ClientCertificate | None = None
    notification_email: MailAddress | None = None
    timeout: Timeout | None = None
    max_per_second: PerSecond | None = None
    max_in_flight: InFlight | None = None
    retry_schedule: ScheduleName | None = None
    client_errors_final: bool = False


class Webhook(ResponseModel):
    """A webhook, without its secrets."""

    id: UUID
    tenant_id: UUID
    name: str
    description: str | None
    endpoint_url: str
    event_types: list[str] | None
    event_filters: Any
    filter_error: str | None
    """
    Why no event can match: the stored filter is not of the documented shape, or `eventTypes` and
    the filter have no type in common. Set when the next event of the tenant comes; `warnings` say
    it at once.
    """
    scope: str
    """`events`, `account` or `operator`; no event matches anything else that was stored."""
    is_active: bool
    is_failing: bool
    state: Literal["active", "failing", "paused"]
    """`failing`: attempts are spaced out until one succeeds; `paused`: none is made."""
    failing_since: datetime | None
    """When it began to fail; null if it is not failing."""
    failed_probes: int
    """How many of the attempts that were begun since then have failed."""
    consecutive_failures: int
    next_probe_at: datetime | None
    """
    While the webhook is failing: the earliest time of the next attempt, or until when the present
    one may take. Null when attempts are not spaced out.
    """
    paused_reason: str | None
    """`failures` or `gone` when the daemon paused the webhook; null when a person did."""
    last_success_at: datetime | None
    """While the webhook is healthy, up to ten seconds older than its newest success."""
    last_failure_at: datetime | None
    custom_headers: dict[str, str] | None
    """The header names; every value is shown as [hidden]."""
    has_client_certificate: bool
    notification_email: str | None
    notification_email_confirmed: bool | None
    """
    Whether notices go to `notificationEmail`; false until its owner confirms it, null if there is
    none that can be mailed.
    """
    timeout: str | None
    """Null is the installation's default, here and below."""
    max_per_second: float | None
    max_in_flight: int | None
    retry_schedule: str | None
    client_errors_final: bool
    previous_secret_expires_at: datetime | None
    """Until then requests are signed with the previous secret too."""
    created_at: datetime | None
    updated_at: datetime | None
    warnings: list[str]
    """Settings that are valid but perhaps not intended, and secrets that must be set again."""


class CreatedWebhook(Webhook):
    """A new webhook with its secret, which is shown only once."""

    holds_credential = True

    secret_key: str


class ListedWebhook(Webhook):
    """A webhook in a list."""

    stats: StatsSummary | None
    """Null unless `include` asks for it."""


class WebhookList(ResponseModel):
    """A page of webhooks."""

    webhooks: list[ListedWebhook]
    next: str | None
    """The value of `after` for the next page; null on the last page."""


class WebhooksQuery(RequestModel):
    """The page of webhooks to list."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    after: UUID | None = None
    """`next` of the previous page."""
    include: Literal["stats", "hourly"] | None = None
    """
    `stats` adds how each webhook's attempts of the last 24 hours went, `hourly` also hour by hour.
    """
    sort: Literal["name", "trouble"] = "name"
    """
    `trouble`: first those that are failing, then those that the daemon paused, then those whose
    last attempt failed, then all others.
    """
    state: Literal["active", "failing", "paused"] | None = None
    search: Annotated[Text, Field(max_length=255)] | None = None
    """A part of the name or of the URL, in any case."""
