"""The events as an AsyncAPI 3.0 document, for generators of receivers and catalogues."""

from typing import Any

from daemon.admin.api.delivery_headers import DELIVERY_HEADERS
from daemon.core.event_schemas import body_schema, sample_body
from daemon.core.event_types import EventType
from daemon.core.operational_event_types import ALL_TYPES, OPERATIONAL_TYPES


def document(version: str) -> dict[str, Any]:
    """The complete document, ready to be serialized as JSON."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "PenguinMails Webhooks",
            "version": version,
            "description": "The events that are delivered to webhooks.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "webhook": {
                "address": None,
                "description": "The URL of a webhook: it gets the types that it subscribes to.",
                "messages": {each.name: _reference(each) for each in ALL_TYPES},
            }
        },
        "operations": {
            "deliverEvent": {
                "action": "send",
                "channel": {"$ref": "#/channels/webhook"},
                "summary": "A POST for each event, repeated until it is accepted with a 2xx.",
                "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
            }
        },
        "components": {"messages": {each.name: _message(each) for each in ALL_TYPES}},
    }


def _reference(event_type: EventType) -> dict[str, str]:
    return {"$ref": f"#/components/messages/{event_type.name}"}


def _message(event_type: EventType) -> dict[str, Any]:
    return {
        "name": event_type.name,
        "title": event_type.name,
        "summary": event_type.description,
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "properties": {
                name: {"type": "string", "description": header.description}
                for name, header in DELIVERY_HEADERS.items()
            },
            "required": [name for name, each in DELIVERY_HEADERS.items() if each.is_always_there],
        },
        "payload": body_schema(event_type, operational=event_type in OPERATIONAL_TYPES),
        "examples": [{"name": "sample", "payload": sample_body(event_type)}],
    }
