"""From rows to what the API shows of them: nothing secret passes here."""

from collections.abc import Iterable
from typing import Any

from daemon.admin import schemas
from daemon.admin.views.json_text import _object, spliced
from daemon.core.event_types import EVENT_TYPES, closest_event_type, matches_any_type
from daemon.core.model.secrets import HIDDEN
from daemon.core.model.webhooks import WebhookEntry, WebhookSettings
from daemon.secrets.custom_headers import parse_custom_headers


def webhook(entry: WebhookEntry) -> schemas.Webhook:
    return schemas.Webhook(**members_of(entry))


def members_of(entry: WebhookEntry) -> dict[str, Any]:
    settings, stored = entry.settings, entry.secrets
    return {
        "id": entry.id,
        "tenant_id": entry.tenant_id,
        "name": settings.name,
        "description": settings.description,
        "endpoint_url": settings.endpoint_url,
        "event_types": None if settings.event_types is None else _texts(settings.event_types),
        "event_filters": spliced(settings.event_filters),
        "filter_error": entry.filter_error,
        "is_active": entry.is_active,
        "is_failing": entry.is_failing,
        "consecutive_failures": entry.consecutive_failures,
        "paused_reason": entry.paused_reason,
        "last_success_at": entry.last_success_at,
        "last_failure_at": entry.last_failure_at,
        "custom_headers": _header_names(stored.custom_headers),
        "has_client_certificate": stored.client_certificate is not None,
        "notification_email": settings.notification_email,
        "previous_secret_expires_at": entry.previous_secret_expires_at,
        "created_at": entry.created_at,
        "updated_at": entry.updated_at,
        "warnings": _warnings(settings),
    }


def _warnings(settings: WebhookSettings) -> list[str]:
    """Types that no event of ours will have: the application may know others, or it is a slip."""
    in_filters = _object(settings.event_filters).get("event_types")
    named = {
        "eventTypes": _texts(settings.event_types or ()),
        "eventFilters.event_types": in_filters if isinstance(in_filters, list) else None,
    }
    return [
        f"{member}: {name} is none of the {len(EVENT_TYPES)} event types{_meant(name)}"
        for member, names in named.items()
        for name in names or ()
        if isinstance(name, str) and not matches_any_type(name)
    ]


def _meant(name: str) -> str:
    near = closest_event_type(name)
    return f"; did you mean {near}?" if near else ""


def _header_names(custom_headers: str | None) -> dict[str, str] | None:
    headers = None if custom_headers is None else parse_custom_headers(custom_headers)
    return None if headers is None else dict.fromkeys(headers, HIDDEN)


def _texts(values: Iterable[object]) -> list[str]:
    """An array of PostgreSQL may hold NULLs, and arrays."""
    found: list[str] = []
    for value in values:
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += _texts(value)
    return found
