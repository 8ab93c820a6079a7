"""Webhooks: what is taken to make and change one, and what is shown of it."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    ConfigDict,
    Field,
)

from daemon.admin.schemas.shapes import (
    LONGEST_PEM,
    EndpointUrl,
    EventTypePatterns,
    Given,
    HeaderName,
    HeaderValue,
    MailAddress,
    Name,
    Overlap,
    Taken,
    Text,
    shaped,
)
from daemon.headers import MOST_HEADERS

Scalar = Text | int | float | bool | None
Ids = Annotated[list[Text | int | float], Field(min_length=1)]
DottedPath = Annotated[
    str,
    *shaped(r"^[^.\x00]+(\.[^.\x00]+)*$", "is not a path into the data, such as contact.tags"),
]


class EventFilters(Taken):
    """What an event must hold, all of it; the names are as they stand in the database."""

    model_config = ConfigDict(alias_generator=None)

    event_types: list[Text] | None = None
    workspaces: Ids | None = None
    """Ids or names."""
    campaign_ids: Ids | None = None
    filters: dict[DottedPath, Scalar | Annotated[list[Scalar], Field(min_length=1)]] | None = None
    """A dotted path in the event's data, and the value or values of which it must have one."""


def _without_defaults(schema: dict[str, Any]) -> None:
    """What is left out stays as it is: there is no default to tell of."""
    for member in schema["properties"].values():
        member.pop("default", None)


class ClientCertificateTaken(Taken):
    """With which the webhook shows the receiver who calls (mTLS)."""

    certificate: Annotated[Text, Field(max_length=LONGEST_PEM)]
    """The chain, in PEM."""
    key: Annotated[Text, Field(max_length=LONGEST_PEM)]
    """The private key in PEM, without a pass phrase."""


class NewWebhook(Taken):
    """A webhook to be made."""

    name: Name
    endpoint_url: EndpointUrl
    """Where to POST events; judged by the egress rules at once, its addresses at each attempt."""
    description: Annotated[Text, Field(max_length=10_000)] | None = None
    event_types: EventTypePatterns | None = None
    """None or an empty list takes every type."""
    event_filters: EventFilters | None = None
    is_active: bool = True
    custom_headers: (
        Annotated[dict[HeaderName, HeaderValue], Field(max_length=MOST_HEADERS)] | None
    ) = None
    """Headers to add to every request, such as Authorization; their values are not shown again."""
    client_certificate: ClientCertificateTaken | None = None
    notification_email: MailAddress | None = None
    """To whom notices about this webhook are mailed, in place of the administrators."""


class WebhookChange(Taken):
    """What to change; members that are left out stay as they are."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    name: Name = ""
    endpoint_url: EndpointUrl = ""
    description: Annotated[Text, Field(max_length=10_000)] | None = None
    event_types: EventTypePatterns | None = None
    event_filters: EventFilters | None = None
    is_active: bool = True
    """As pausing and resuming do."""
    custom_headers: (
        Annotated[dict[HeaderName, HeaderValue | None], Field(max_length=MOST_HEADERS)] | None
    ) = None
    """Merged with those that are there (RFC 7396): null removes one; null in all removes all."""
    client_certificate: ClientCertificateTaken | None = None
    notification_email: MailAddress | None = None


class Webhook(Given):
    """A webhook, without what is secret."""

    id: UUID
    tenant_id: UUID
    name: str
    description: str | None
    endpoint_url: str
    event_types: list[str] | None
    event_filters: Any
    filter_error: str | None
    """Why the filter matches nothing, when it is not of the documented shape."""
    is_active: bool
    is_failing: bool
    consecutive_failures: int
    paused_reason: str | None
    """`failures` or `gone` when the daemon paused it; null when a person did."""
    last_success_at: datetime | None
    last_failure_at: datetime | None
    custom_headers: dict[str, str] | None
    """Names alone: every value is shown as [hidden]."""
    has_client_certificate: bool
    notification_email: str | None
    previous_secret_expires_at: datetime | None
    """Until when requests are signed with the previous secret too."""
    created_at: datetime | None
    updated_at: datetime | None
    warnings: list[str]
    """What is not wrong and yet perhaps not meant."""


class NewlyMadeWebhook(Webhook):
    """A webhook and its secret, which is shown this once."""

    secret_key: str


class Webhooks(Given):
    """A page of webhooks, by name."""

    webhooks: list[Webhook]
    next: str | None
    """For `after`, when there are more."""


class WebhooksQuery(Taken):
    """Which webhooks."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    after: UUID | None = None


class Rotation(Taken):
    """How long the previous secret is to sign too."""

    overlap: Overlap = "24h"
    """From 0s, which ends the previous one at once, to 30d."""
    replace: bool = False
    """Replace the new secret of a rotation that is under way; the old one goes on as it was to."""


class RotatedSecret(Given):
    """The new secret, shown this once."""

    id: UUID
    secret_key: str
    previous_secret_expires_at: datetime | None
