"""
The types of operational events, each with a sample of its data.

They go to webhooks of the scopes `account` and `operator` only, and never to one that gets the
application's events.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from daemon.core.event_types import EVENT_TYPE_NAMES, EVENT_TYPES, EventType, sample_data
from daemon.core.model.operational_events import OperationalType, WebhookScope

_FIELDS = ("tenant_id", "webhook_id", "webhook_name", "consecutive_failures", "reason", "count")
_WEBHOOK: Mapping[str, Any] = {
    "tenant_id": "7d0f2c4e-8a31-4d5b-9c66-2f1e0b3a4c5d",
    "webhook_id": "0b9e7a52-3c1d-4f80-a6b4-5d2c8e9f1a07",
    "webhook_name": "CRM Contact Sync",
    "consecutive_failures": 0,
    "reason": None,
    "count": 1,
}
_ERROR = "the receiver answered 503 Service Unavailable"

OPERATIONAL_TYPES = (
    EventType(
        OperationalType.FAILING.value,
        "The attempts to a webhook fail: the next ones are spaced out",
        _FIELDS,
        {**_WEBHOOK, "consecutive_failures": 5, "reason": _ERROR},
    ),
    EventType(
        OperationalType.RECOVERED.value,
        "A webhook that was failing has accepted an event",
        _FIELDS,
        _WEBHOOK,
    ),
    EventType(
        OperationalType.NEARLY_PAUSED.value,
        "A webhook has nine tenths of the failures in a row that pause it",
        _FIELDS,
        {**_WEBHOOK, "consecutive_failures": 90, "reason": _ERROR},
    ),
    EventType(
        OperationalType.PAUSED.value,
        "A webhook was paused: the reason is failures, gone (410), or person",
        _FIELDS,
        {**_WEBHOOK, "consecutive_failures": 100, "reason": "failures"},
    ),
    EventType(
        OperationalType.EXHAUSTED.value,
        "The last retry of a delivery has failed",
        (*_FIELDS, "event_id", "event_type", "delivery_id"),
        {
            **_WEBHOOK,
            "consecutive_failures": 12,
            "reason": _ERROR,
            "event_id": "5f3c1b7e-6d24-4a98-b0e1-9c8d7f6a5b43",
            "event_type": "email.opened",
            "delivery_id": "01936f1e-2b4c-7d8e-9f0a-1b2c3d4e5f60",
        },
    ),
    EventType(
        OperationalType.REPLAY_COMPLETED.value,
        "A replay has attempted all of its deliveries once",
        (*_FIELDS, "replay_id", "total", "sent", "delivered", "failed", "waiting"),
        {
            **_WEBHOOK,
            "replay_id": "c2a4e6f8-1b3d-4f5a-8c7e-0d9b2f4a6c81",
            "total": 250,
            "sent": 250,
            "delivered": 240,
            "failed": 0,
            "waiting": 10,
        },
    ),
)

ALL_TYPES = (*EVENT_TYPES, *OPERATIONAL_TYPES)
_SAMPLES = {each.name: each.sample for each in OPERATIONAL_TYPES}
OPERATIONAL_TYPE_NAMES = tuple(_SAMPLES)
UNKNOWN: Mapping[str, Any] = {"sample": True}

NOT_BY_OPERATOR = (
    "the application wrote operator, so that no event matches: only an operator may set it, over"
    " the API or in the console"
)


def names_for_scope(scope: str) -> tuple[str, ...]:
    """Return the types of events that a webhook of this scope may get."""
    is_operational = scope in (WebhookScope.ACCOUNT, WebhookScope.OPERATOR)
    return OPERATIONAL_TYPE_NAMES if is_operational else EVENT_TYPE_NAMES


def described(names: tuple[str, ...]) -> str:
    """Return what these types are together, for a sentence."""
    kind = "operational event types" if names is OPERATIONAL_TYPE_NAMES else "event types"
    return f"{len(names)} {kind}"


def any_sample_data(event_type: str) -> dict[str, Any]:
    """Return a copy of the sample of a type of either kind; of any other, `{"sample": true}`."""
    if event_type in EVENT_TYPE_NAMES:
        return sample_data(event_type)
    return deepcopy(dict(_SAMPLES.get(event_type, UNKNOWN)))
