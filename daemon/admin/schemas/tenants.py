"""Tenants as operators look at them, and what they find across tenants."""

import re
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field

from daemon.admin.schemas.base import RequestModel, ResponseModel
from daemon.admin.schemas.fields import Text
from daemon.core.model.tenants import TenantPlace

PLACE = r"^[0-9]{1,9}_[0-9]{1,9}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"


def place_text(place: TenantPlace) -> str:
    """The text of a place in the list of tenants, as `parse_place` reads it."""
    return f"{place.failing}_{place.paused}_{place.id}"


def parse_place(given: object) -> TenantPlace:
    """Raises ValueError for anything but `next` of another page."""
    if not isinstance(given, str) or not re.fullmatch(PLACE, given):
        raise ValueError("must be `next` of another page")
    failing, paused, tenant_id = given.split("_")
    return TenantPlace(int(failing), int(paused), UUID(tenant_id))


PlaceField = Annotated[
    TenantPlace,
    BeforeValidator(
        parse_place,
        json_schema_input_type=Annotated[str, Field(json_schema_extra={"pattern": PLACE})],
    ),
]


class Tenant(ResponseModel):
    """A tenant, and how its webhooks are doing."""

    id: UUID
    name: str | None
    """As the application's table has it; null where it has none, or may not be read."""
    webhooks: int
    """2,000 stands for more, here and below."""
    failing: int
    paused: int
    oldest_due_seconds: float | None
    """
    How late the oldest attempt is that is due; of the first 500 active webhooks. Null if none is
    due, or if finding it takes too long.
    """
    last_event_at: datetime | None
    warnings: list[str]
    """The limits on webhooks that the tenant is above."""


class TenantList(ResponseModel):
    """A page of tenants: those with most failing webhooks first, then those with most paused."""

    tenants: list[Tenant]
    next: str | None
    """The value of `after` for the next page; a page may be short although more follow."""


class TenantsQuery(RequestModel):
    """The tenants to list."""

    limit: Annotated[int, Field(ge=1, le=100)] = 50
    after: PlaceField | None = None
    """`next` of the previous page."""
    search: Annotated[Text, Field(max_length=255)] | None = None
    """A part of the name, in any case, or the first 8 or more digits of the id."""


class FoundObject(ResponseModel):
    """A webhook, an event, a delivery or a replay."""

    kind: Literal["webhook", "event", "delivery", "replay"]
    id: UUID
    tenant_id: UUID
    webhook_id: UUID | None
    """Null of an event."""
    name: str | None
    """The name of the webhook, or the type of the event; null of a replay."""


class FoundObjects(ResponseModel):
    """Matches across all tenants."""

    found: list[FoundObject]
    complete: bool
    """False when there may be more: there are too many, or not all webhooks were looked at."""


class SearchQuery(RequestModel):
    """The text to search for."""

    text: Annotated[Text, Field(min_length=3, max_length=255)]
    """
    The id of a webhook, an event (also evt_…), a delivery or a replay; the address that a webhook
    mails; a URL, a host, or a part of a URL or name.
    """
