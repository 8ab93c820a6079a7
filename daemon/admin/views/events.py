"""Stored events and event types in responses."""

from collections.abc import Sequence
from typing import Any

from daemon.admin import schemas
from daemon.admin.views.deliveries import delivery_response
from daemon.admin.views.json_text import json_fragment
from daemon.core.event_schemas import data_schema
from daemon.core.operational_event_types import ALL_TYPES, OPERATIONAL_TYPES, any_sample_data
from daemon.core.wire.event_ids import public_event_id
from daemon.store.attempts import Attempt
from daemon.store.event_facets import Facets
from daemon.store.stored_events import EventEntry

MAX_DATA_BYTES = 1024 * 1024  # as PostgreSQL prints them


def event_response(event: EventEntry) -> schemas.Event:
    """Show an event without its data."""
    return schemas.Event(**_members(event))


def event_detail_response(event: EventEntry, attempts: Sequence[Attempt]) -> schemas.EventDetail:
    """Show an event with its data, unless that is too large, and its delivery attempts."""
    cut = event.data_bytes > MAX_DATA_BYTES
    return schemas.EventDetail(
        **_members(event),
        data=None if cut else json_fragment(event.data),
        data_cut=cut,
        data_size=event.data_bytes,
        deliveries=[delivery_response(each) for each in attempts],
    )


def event_types_response() -> schemas.EventTypeList:
    """Show every event type with a sample of its data."""
    return schemas.EventTypeList(
        event_types=[
            schemas.EventType(
                name=each.name,
                description=each.description,
                fields=list(each.fields),
                sample=any_sample_data(each.name),
                json_schema=data_schema(each, operational=each in OPERATIONAL_TYPES),
                operational=each in OPERATIONAL_TYPES,
            )
            for each in ALL_TYPES
        ]
    )


def _members(event: EventEntry) -> dict[str, Any]:
    return {
        "id": event.id,
        "message_id": public_event_id(event.id),
        "type": event.type,
        "created_at": event.created_at,
    }


def facets_response(facets: Facets) -> schemas.EventFacets:
    """Show what recent events hold."""
    return schemas.EventFacets(
        types=[schemas.TypeFacet(name=each.id or "", count=each.count) for each in facets.types],
        campaigns=[
            schemas.CampaignFacet(id=each.id or "", name=each.name, count=each.count)
            for each in facets.campaigns
        ],
        contacts=[
            schemas.ContactFacet(id=each.id, address=each.name, count=each.count)
            for each in facets.contacts
        ],
        looked=facets.looked,
    )
