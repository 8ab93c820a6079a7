"""Webhooks: what is taken to make and change one, and what is shown of it."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    ConfigDict,
    Field,
    PlainValidator,
    model_validator,
)

from daemon.admin.schemas.base import Given, Taken
from daemon.admin.schemas.fields import (
    LONGEST_PEM,
    EndpointUrl,
    EventTypePatterns,
    HeaderName,
    HeaderValue,
    MailAddress,
    Name,
    Overlap,
    Text,
    at_most,
    shaped,
)
from daemon.core.matching.limits import (
    LONGEST_TEXT,
    MOST_IDS,
    MOST_PATHS,
    MOST_SEGMENTS,
    MOST_TYPES,
    MOST_VALUES,
)
from daemon.core.policy.headers import MOST_HEADERS


def _id(given: object) -> object:
    if isinstance(given, str | int | float) and not isinstance(given, bool):
        return given
    raise ValueError("must be a text or a number")


def _wanted(given: object) -> object:
    values = given if isinstance(given, list) else [given]
    if not 0 < len(values) <= MOST_VALUES:
        raise ValueError(f"must have from 1 to {MOST_VALUES} values")
    for each in values:
        if each is not None and not isinstance(each, str | int | float):
            raise ValueError("must be a text, a number, true, false, null, or a list of these")
    return given


Number = int | float
Scalar = Text | Number | bool | None
Scalars = Annotated[list[Scalar], Field(min_length=1)]
# Each judged by one function: of a union pydantic tells one mistake for each of its types.
Id = Annotated[Any, PlainValidator(_id, json_schema_input_type=Text | Number)]
Ids = Annotated[list[Id], Field(min_length=1, fail_fast=True), at_most(MOST_IDS)]
Wanted = Annotated[Any, PlainValidator(_wanted, json_schema_input_type=Scalar | Scalars)]
DottedPath = Annotated[
    str,
    *shaped(
        rf"^[^.\x00]+(\.[^.\x00]+){{0,{MOST_SEGMENTS - 1}}}$",
        "is not a path into the data, such as contact.tags, "
        f"or is one of more than {MOST_SEGMENTS} parts",
    ),
]


Headers = Annotated[
    dict[HeaderName, HeaderValue], Field(max_length=MOST_HEADERS), at_most(MOST_HEADERS)
]
HeaderChanges = Annotated[
    dict[HeaderName, HeaderValue | None], Field(max_length=MOST_HEADERS), at_most(MOST_HEADERS)
]


class EventFilters(Taken):
    """What an event must hold, all of it; the names are as they stand in the database."""

    model_config = ConfigDict(alias_generator=None)

    event_types: Annotated[list[Text], Field(max_length=MOST_TYPES)] | None = None
    workspaces: Ids | None = None
    """Ids or names, 1000 at most."""
    campaign_ids: Ids | None = None
    """1000 at most."""
    filters: Annotated[dict[DottedPath, Wanted], at_most(MOST_PATHS)] | None = None
    """
    A dotted path in the event's data, and the value or values of which it must have one; at most
    100 paths, 1000 values in all, and 16 KiB of JSON.
    """

    @model_validator(mode="after")
    def _small(self) -> "EventFilters":
        wanted = (self.filters or {}).values()
        if sum(len(each) if isinstance(each, list) else 1 for each in wanted) > MOST_VALUES:
            raise ValueError(f"filters may have at most {MOST_VALUES} values in all")
        if _stored_length(self.model_dump(exclude_unset=True)) > LONGEST_TEXT:
            raise ValueError(f"must be at most {LONGEST_TEXT} characters of JSON")
        return self


def _stored_length(value: object) -> int:
    """How long it is when PostgreSQL prints it: with spaces, and with exponents written out."""
    match value:
        case dict():
            return 2 + sum(_stored_length(k) + _stored_length(v) + 4 for k, v in value.items())
        case list():
            return 2 + sum(_stored_length(each) + 2 for each in value)
        case float():
            return len(f"{Decimal(repr(value)):f}")
    return len(json.dumps(value, ensure_ascii=False))


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
        Annotated[
            dict[HeaderName, HeaderValue], at_most(MOST_HEADERS), Field(max_length=MOST_HEADERS)
        ]
        | None
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
        Annotated[
            dict[HeaderName, HeaderValue | None],
            at_most(MOST_HEADERS),
            Field(max_length=MOST_HEADERS),
        ]
        | None
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
