"""
The 13 event types of the specification's Event Reference, each with a sample of its data.

Field names are those of the specification's example payload (`email_id`, not `emailId`). The
application's data is sent as it is stored: fields and samples only show customers what to expect.
"""

import difflib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

# The longest of the types has 20 characters. A comparison with all of them takes 0.2 ms.
LONGEST_MISSPELT = 40

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


@dataclass(frozen=True, slots=True)
class EventType:
    """
    One type of event.

    `fields` are the members that its data has at least; `sample` is data to try it out with (see
    `sample_data` for a copy).
    """

    name: str
    description: str
    fields: tuple[str, ...]
    sample: Mapping[str, Any]


EVENT_TYPES = (
    EventType(
        "email.sent",
        "Email queued for sending",
        ("email_id", "campaign_id", "contact"),
        {**_EMAIL, "subject": "Autumn offers for you", "sent_at": "2025-11-25T14:28:00Z"},
    ),
    EventType(
        "email.delivered",
        "Email successfully delivered",
        ("email_id", "delivered_at", "smtp_response"),
        {
            **_EMAIL,
            "delivered_at": "2025-11-25T14:28:04Z",
            "smtp_response": "250 2.0.0 OK 1764080884 queued as 4bFz2x",
        },
    ),
    EventType(
        "email.opened",
        "Email opened by recipient",
        ("email_id", "opened_at", "location", "user_agent"),
        {**_EMAIL, "opened_at": "2025-11-25T14:30:00Z", **_READER},
    ),
    EventType(
        "email.clicked",
        "Link clicked in email",
        ("email_id", "url", "clicked_at"),
        {
            **_EMAIL,
            "url": "https://shop.example.com/autumn?utm_source=penguinmails",
            "clicked_at": "2025-11-25T14:31:12Z",
            **_READER,
        },
    ),
    EventType(
        "email.bounced",
        "Email bounced",
        ("email_id", "bounce_type", "bounce_reason"),
        {
            **_EMAIL,
            "bounce_type": "hard",
            "bounce_reason": "550 5.1.1 The email account does not exist",
            "bounced_at": "2025-11-25T14:28:05Z",
        },
    ),
    EventType(
        "email.spam_reported",
        "Marked as spam",
        ("email_id", "reported_at"),
        {**_EMAIL, "reported_at": "2025-11-25T15:02:41Z"},
    ),
    EventType(
        "email.unsubscribed",
        "Recipient unsubscribed",
        ("email_id", "contact_id", "unsubscribed_at"),
        {**_EMAIL, "contact_id": "cont_ghi012", "unsubscribed_at": "2025-11-25T14:35:20Z"},
    ),
    EventType(
        "campaign.launched",
        "Campaign started sending",
        ("campaign_id", "campaign", "launched_at"),
        {
            "campaign_id": "camp_def456",
            "campaign": _CAMPAIGN,
            "recipients": 1247,
            "launched_at": "2025-11-25T14:00:00Z",
        },
    ),
    EventType(
        "campaign.completed",
        "Campaign finished sending",
        ("campaign_id", "campaign", "completed_at", "statistics"),
        {
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
    ),
    EventType(
        "campaign.paused",
        "Campaign paused by user",
        ("campaign_id", "campaign", "paused_at", "paused_by"),
        {
            "campaign_id": "camp_def456",
            "campaign": _CAMPAIGN,
            "paused_by": "usr_jkl345",
            "paused_at": "2025-11-25T14:45:00Z",
        },
    ),
    EventType(
        "contact.created",
        "New contact added",
        ("contact_id", "contact", "created_at"),
        {
            "contact_id": "cont_ghi012",
            "contact": _CONTACT,
            "source": "signup_form",
            "created_at": "2025-11-25T14:10:00Z",
        },
    ),
    EventType(
        "contact.updated",
        "Contact information updated",
        ("contact_id", "contact", "changed_fields", "updated_at"),
        {
            "contact_id": "cont_ghi012",
            "contact": _CONTACT,
            "changed_fields": ["last_name", "tags"],
            "updated_at": "2025-11-25T14:20:00Z",
        },
    ),
    EventType(
        "contact.unsubscribed",
        "Contact unsubscribed from all emails",
        ("contact_id", "contact", "unsubscribed_at"),
        {
            "contact_id": "cont_ghi012",
            "contact": _CONTACT,
            "reason": "No longer interested",
            "unsubscribed_at": "2025-11-25T14:36:00Z",
        },
    ),
)

_SAMPLES = {event_type.name: event_type.sample for event_type in EVENT_TYPES}
EVENT_TYPE_NAMES = tuple(_SAMPLES)


def sample_data(event_type: str) -> dict[str, Any]:
    """Return a copy of the sample of one of the 13 types. Raises KeyError for any other name."""
    return deepcopy(dict(_SAMPLES[event_type]))


def matches_any_type(pattern: str, among: tuple[str, ...] = EVENT_TYPE_NAMES) -> bool:
    """Whether one of the types has this name or matches this wildcard."""
    if pattern in among or pattern == "*":
        return True
    return pattern.endswith(".*") and any(name.startswith(pattern[:-1]) for name in among)


def closest_event_type(name: str, among: tuple[str, ...] = EVENT_TYPE_NAMES) -> str | None:
    """Return the type that a misspelt name probably means, or None if none is similar."""
    # Checked before the cache, which would keep what is long.
    return _closest_event_type(name, among) if len(name) <= LONGEST_MISSPELT else None


@lru_cache(1024)
def _closest_event_type(name: str, among: tuple[str, ...]) -> str | None:
    similar = difflib.get_close_matches(name, among, n=1, cutoff=0.5)
    return similar[0] if similar else None
