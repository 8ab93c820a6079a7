"""
The 13 event types of the specification's Event Reference, each with a sample of its data.

Field names are those of the specification's example payload (`email_id`, not `emailId`). What
the application stores is sent as it is; these are only what a customer may expect and try out.
"""

import difflib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class EventType:
    """One type of event: its name, what it tells, and the members that its data has at least."""

    name: str
    description: str
    fields: tuple[str, ...]


EVENT_TYPES = (
    EventType("email.sent", "Email queued for sending", ("email_id", "campaign_id", "contact")),
    EventType(
        "email.delivered",
        "Email successfully delivered",
        ("email_id", "delivered_at", "smtp_response"),
    ),
    EventType(
        "email.opened",
        "Email opened by recipient",
        ("email_id", "opened_at", "location", "user_agent"),
    ),
    EventType("email.clicked", "Link clicked in email", ("email_id", "url", "clicked_at")),
    EventType("email.bounced", "Email bounced", ("email_id", "bounce_type", "bounce_reason")),
    EventType("email.spam_reported", "Marked as spam", ("email_id", "reported_at")),
    EventType(
        "email.unsubscribed",
        "Recipient unsubscribed",
        ("email_id", "contact_id", "unsubscribed_at"),
    ),
    EventType(
        "campaign.launched",
        "Campaign started sending",
        ("campaign_id", "campaign", "launched_at"),
    ),
    EventType(
        "campaign.completed",
        "Campaign finished sending",
        ("campaign_id", "campaign", "completed_at", "statistics"),
    ),
    EventType(
        "campaign.paused",
        "Campaign paused by user",
        ("campaign_id", "campaign", "paused_at", "paused_by"),
    ),
    EventType("contact.created", "New contact added", ("contact_id", "contact", "created_at")),
    EventType(
        "contact.updated",
        "Contact information updated",
        ("contact_id", "contact", "changed_fields", "updated_at"),
    ),
    EventType(
        "contact.unsubscribed",
        "Contact unsubscribed from all emails",
        ("contact_id", "contact", "unsubscribed_at"),
    ),
)

_CONTACT = {
    "id": "cont_ghi012",
    "email": "user@example.com",
    "first_name": "Sarah",
    "last_name": "Johnson",
    "tags": ["vip", "newsletter"],
}
_CAMPAIGN = {"id": "camp_def456", "name": "Autumn offers", "type": "promotional"}
_EMAIL = {"email_id": "msg_xyz789", "campaign_id": "camp_def456", "contact": _CONTACT}
_READER = {
    "user_agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15",
    "ip_address": "192.168.1.1",
    "location": {"city": "New York", "region": "NY", "country": "US"},
}

_SAMPLES: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "email.sent": {
            **_EMAIL,
            "subject": "Autumn offers for you",
            "sent_at": "2025-11-25T14:28:00Z",
        },
        "email.delivered": {
            **_EMAIL,
            "delivered_at": "2025-11-25T14:28:04Z",
            "smtp_response": "250 2.0.0 OK 1764080884 queued as 4bFz2x",
        },
        "email.opened": {**_EMAIL, "opened_at": "2025-11-25T14:30:00Z", **_READER},
        "email.clicked": {
            **_EMAIL,
            "url": "https://shop.example.com/autumn?utm_source=penguinmails",
            "clicked_at": "2025-11-25T14:31:12Z",
            **_READER,
        },
        "email.bounced": {
            **_EMAIL,
            "bounce_type": "hard",
            "bounce_reason": "550 5.1.1 The email account does not exist",
            "bounced_at": "2025-11-25T14:28:05Z",
        },
        "email.spam_reported": {**_EMAIL, "reported_at": "2025-11-25T15:02:41Z"},
        "email.unsubscribed": {
            **_EMAIL,
            "contact_id": "cont_ghi012",
            "unsubscribed_at": "2025-11-25T14:35:20Z",
        },
        "campaign.launched": {
            "campaign_id": "camp_def456",
            "campaign": _CAMPAIGN,
            "recipients": 1247,
            "launched_at": "2025-11-25T14:00:00Z",
        },
        "campaign.completed": {
            "campaign_id": "camp_def456",
            "campaign": _CAMPAIGN,
            "completed_at": "2025-11-25T16:00:00Z",
            "statistics": {
                "sent": 1247,
                "delivered": 1229,
                "opened": 512,
                "clicked": 143,
                "bounced": 18,
                "unsubscribed": 3,
            },
        },
        "campaign.paused": {
            "campaign_id": "camp_def456",
            "campaign": _CAMPAIGN,
            "paused_by": "usr_jkl345",
            "paused_at": "2025-11-25T14:45:00Z",
        },
        "contact.created": {
            "contact_id": "cont_ghi012",
            "contact": _CONTACT,
            "source": "signup_form",
            "created_at": "2025-11-25T14:10:00Z",
        },
        "contact.updated": {
            "contact_id": "cont_ghi012",
            "contact": _CONTACT,
            "changed_fields": ["last_name", "tags"],
            "updated_at": "2025-11-25T14:20:00Z",
        },
        "contact.unsubscribed": {
            "contact_id": "cont_ghi012",
            "contact": _CONTACT,
            "reason": "No longer interested",
            "unsubscribed_at": "2025-11-25T14:36:00Z",
        },
    }
)


def sample_data(event_type: str) -> dict[str, Any]:
    """Sample data of one of the 13 types, the caller's own copy. Raises KeyError for another."""
    return deepcopy(_SAMPLES[event_type])


def matches_any_type(pattern: str) -> bool:
    """Whether one of the types is of this name, or matches this wildcard."""
    prefix = pattern.removesuffix("*") if pattern.endswith(".*") else None
    return pattern == "*" or any(
        each.name == pattern if prefix is None else each.name.startswith(prefix)
        for each in EVENT_TYPES
    )


def closest_event_type(name: str) -> str | None:
    """The type that somebody may have meant who wrote this."""
    near = difflib.get_close_matches(name, [each.name for each in EVENT_TYPES], n=1, cutoff=0.5)
    return near[0] if near else None
