"""
JSON Schemas (2020-12) of events, for catalogues and generators of code.

The rule: each member of an event's data is described once, here, and a schema refuses nothing that
the application may add later. Data are sent as the application stored them: a schema says what
receivers can expect, and nothing is checked against it on the way.
"""

from collections.abc import Mapping
from typing import Any

from daemon.core.event_types import EventType

Schema = Mapping[str, Any]


def _text(description: str, **more: Any) -> Schema:
    return {"type": "string", "description": description, **more}


def _time(description: str) -> Schema:
    return _text(description, format="date-time")


def _count(description: str) -> Schema:
    return {"type": "integer", "minimum": 0, "description": description}


def _object(description: str, properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "description": description, "properties": properties}


def _texts(description: str) -> Schema:
    return {"type": "array", "items": {"type": "string"}, "description": description}


CONTACT = _object(
    "The contact",
    {
        "id": _text("The contact's id"),
        "email": _text("Their email address", format="email"),
        "first_name": _text("Their first name"),
        "last_name": _text("Their last name"),
        "tags": _texts("Their tags"),
    },
)
CAMPAIGN = _object(
    "The campaign",
    {
        "id": _text("The campaign's id"),
        "name": _text("Its name"),
        "type": _text("Its kind, such as promotional"),
    },
)
LOCATION = _object(
    "Where the reader probably was, by their address",
    {
        "city": _text("The city"),
        "region": _text("The region or state"),
        "country": _text("The country, as its ISO 3166 code"),
    },
)
STATISTICS = _object(
    "What became of the campaign's emails",
    {
        "sent": _count("Emails sent"),
        "delivered": _count("Emails delivered"),
        "opened": _count("Emails opened"),
        "clicked": _count("Emails in which a link was clicked"),
        "bounced": _count("Emails that bounced"),
        "unsubscribed": _count("Recipients who unsubscribed"),
    },
)

APPLICATION_MEMBERS: Mapping[str, Schema] = {
    "email_id": _text("The email's id"),
    "campaign_id": _text("The campaign's id"),
    "campaign": CAMPAIGN,
    "contact_id": _text("The contact's id"),
    "contact": CONTACT,
    "subject": _text("The email's subject"),
    "sent_at": _time("When the email was queued for sending"),
    "delivered_at": _time("When the recipient's server accepted the email"),
    "smtp_response": _text("What the recipient's server answered"),
    "opened_at": _time("When the email was opened"),
    "user_agent": _text("The reader's program, as it named itself"),
    "ip_address": _text("The reader's address, IPv4 or IPv6"),
    "location": LOCATION,
    "url": _text("The link that was clicked", format="uri"),
    "clicked_at": _time("When the link was clicked"),
    "bounce_type": _text("Whether the failure is permanent: hard or soft"),
    "bounce_reason": _text("Why the email bounced, as the recipient's server said it"),
    "bounced_at": _time("When the email bounced"),
    "reported_at": _time("When the email was reported as spam"),
    "unsubscribed_at": _time("When the recipient unsubscribed"),
    "recipients": _count("How many contacts the campaign is sent to"),
    "launched_at": _time("When the campaign began to be sent"),
    "completed_at": _time("When the campaign's last email was sent"),
    "statistics": STATISTICS,
    "paused_by": _text("The id of the user who paused the campaign"),
    "paused_at": _time("When the campaign was paused"),
    "source": _text("Where the contact came from, such as a form or an import"),
    "created_at": _time("When the contact was added"),
    "changed_fields": _texts("Which fields of the contact have changed"),
    "updated_at": _time("When the contact was changed"),
    "reason": _text("The reason that the contact gave"),
}
OPERATIONAL_MEMBERS: Mapping[str, Schema] = {
    "tenant_id": _text("The tenant whose webhook it is", format="uuid"),
    "webhook_id": _text("The webhook that this is about", format="uuid"),
    "webhook_name": _text("The webhook's name"),
    "consecutive_failures": _count("Its failed attempts in a row"),
    "reason": {"type": ["string", "null"], "description": "Why, or the last error, if known"},
    "count": _count("How many such happenings this event stands for"),
    "event_id": _text("The event that was not delivered", format="uuid"),
    "event_type": _text("The type of the event that was not delivered"),
    "delivery_id": _text("The last attempt", format="uuid"),
    "replay_id": _text("The replay", format="uuid"),
    "total": _count("The events of the replay"),
    "sent": _count("Those that were attempted"),
    "delivered": _count("Those that were delivered"),
    "failed": _count("Those that were given up"),
    "waiting": _count("Those that wait for a retry"),
}


def data_schema(event_type: EventType, *, operational: bool) -> dict[str, Any]:
    """The schema of the event's `data`; `fields` of the type are required, others may be absent."""
    members = OPERATIONAL_MEMBERS if operational else APPLICATION_MEMBERS
    names = dict.fromkeys((*event_type.fields, *event_type.sample))
    return {
        "type": "object",
        "description": event_type.description,
        "properties": {name: members[name] for name in names},
        "required": list(event_type.fields),
    }


def body_schema(event_type: EventType, *, operational: bool) -> dict[str, Any]:
    """The schema of the whole body of a delivery (contract, section 1)."""
    return {
        "type": "object",
        "description": event_type.description,
        "properties": {
            "id": _text(
                "The event's id: the same on every attempt and every replay",
                pattern="^evt_(test_)?[0-9a-f]{32}$",
            ),
            "type": {"const": event_type.name, "description": "The event's type"},
            "created_at": _time("When the application published the event, in UTC"),
            "data": data_schema(event_type, operational=operational),
        },
        "required": ["id", "type", "created_at", "data"],
    }


def sample_body(event_type: EventType) -> dict[str, Any]:
    """A delivery's body with the sample of this type."""
    return {
        "id": "evt_2f1f0c9b7a6e4d3c8b5a49382716f5e4",
        "type": event_type.name,
        "created_at": "2025-11-25T14:30:00Z",
        "data": dict(event_type.sample),
    }
