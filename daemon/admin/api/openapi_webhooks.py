"""The events as OpenAPI 3.1 `webhooks`: the requests that receivers get, one for each type."""

from typing import Any

from daemon.admin.api.delivery_headers import DELIVERY_HEADERS
from daemon.core.event_schemas import body_schema, sample_body
from daemon.core.event_types import EventType
from daemon.core.operational_event_types import ALL_TYPES, OPERATIONAL_TYPES

RESPONSES = {
    "2XX": {"description": "The event is accepted. Answer within the webhook's timeout."},
    "410": {"description": "The endpoint is gone: the webhook is paused at once."},
    "default": {"description": "The attempt failed. It is made again, after a wait."},
}


def webhooks() -> dict[str, Any]:
    """The member `webhooks` of the document, by the name of the type."""
    return {each.name: {"post": _request(each)} for each in ALL_TYPES}


def header_parameters() -> dict[str, Any]:
    """The headers of a delivery, for `components`."""
    return {
        name: {
            "name": name,
            "in": "header",
            "required": header.is_always_there,
            "description": header.description,
            "schema": {"type": "string"},
            "example": header.example,
        }
        for name, header in DELIVERY_HEADERS.items()
    }


def _request(event_type: EventType) -> dict[str, Any]:
    schema = body_schema(event_type, operational=event_type in OPERATIONAL_TYPES)
    return {
        "summary": event_type.description,
        "security": [],
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in DELIVERY_HEADERS],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema, "example": sample_body(event_type)}},
        },
        "responses": RESPONSES,
    }
