"""The form of a webhook: its fields as the members of the API's bodies, and what buttons change."""

import json
from collections.abc import Mapping
from typing import Any

import orjson

from daemon.admin.console import delivery_fields, subscription_fields
from daemon.admin.console.forms import ON, text_member
from daemon.core.event_types import EVENT_TYPES

Form = Mapping[str, str]

FIELDS = frozenset(
    {
        *("name", "endpointUrl", "description", "eventTypes", "eventFilters", "isActive", "scope"),
        *("customHeaders", "clientCertificate", "notificationEmail", "timeout", "maxPerSecond"),
        *("maxInFlight", "retrySchedule", "clientErrorsFinal"),
    }
)


def new_webhook(form: Form) -> dict[str, object]:
    """The body that creates a webhook. Raises Problem (422) for a field that cannot be read."""
    return {**_members(form), "isActive": form.get("status") != "paused"}


def changes_of(form: Form, webhook: Any) -> dict[str, object]:
    """The members to change. Raises Problem (422) for a field that cannot be read."""
    before = _members(stored_fields(webhook)) | delivery_fields.options(stored_fields(webhook))
    after = {
        **_members(form),
        **delivery_fields.options(form),
        **delivery_fields.certificate(form),
    }
    changes = {name: value for name, value in after.items() if before.get(name, form) != value}
    if headers := delivery_fields.headers(form):
        changes["customHeaders"] = headers
    return changes


def stored_fields(webhook: Any) -> dict[str, str]:
    """The fields of a stored webhook."""
    return {
        "name": webhook.name,
        "endpointUrl": webhook.endpoint_url,
        "description": webhook.description or "",
        "notificationEmail": webhook.notification_email or "",
        "scope": webhook.scope,
        **subscription_fields.type_fields(webhook.event_types),
        **subscription_fields.filter_fields(filters_of(webhook)),
        **delivery_fields.fields_of(webhook),
    }


def filters_of(webhook: Any) -> object:
    """The stored filter as a value."""
    # The standard library's reader keeps all digits.
    return json.loads(orjson.dumps(webhook.event_filters))


def edited(form: Form, button: str) -> dict[str, str]:
    """
    The fields after a button that only changes the form.

    It is `types:email`, `types:-email`, `json`, `fields`, `pick:["path", "value"]` with a value as
    fields have it, or another that only adds empty fields, such as `add` for a condition.
    Raises Problem (422) for a filter that cannot be read.
    """
    kind, _, argument = button.partition(":")
    if kind == "types":
        return _with_group(form, argument.removeprefix("-"), chosen=not argument.startswith("-"))
    if kind in {"json", "fields"}:
        filters = subscription_fields.event_filters(form)
        rest = subscription_fields.without_filter(form)
        if kind == "json":
            return rest | subscription_fields.json_fields(filters)
        return rest | subscription_fields.filter_fields(filters)
    if kind == "pick":
        path, value = _picked(argument)
        return subscription_fields.with_row(form, path, value)
    return dict(form)


def _with_group(form: Form, group: str, *, chosen: bool) -> dict[str, str]:
    names = {
        f"{subscription_fields.TYPE_FIELD}{each.name}"
        for each in EVENT_TYPES
        if each.name.startswith(f"{group}.")
    }
    rest = {name: value for name, value in form.items() if name not in names}
    added = dict.fromkeys(names, ON) if chosen else {}
    return {**rest, **added, "which": "some"}


def _picked(argument: str) -> tuple[str, str]:
    try:
        path, value = orjson.loads(argument)
    except (orjson.JSONDecodeError, ValueError, TypeError):
        return "", ""
    return str(path), str(value)


def _members(form: Form) -> dict[str, object]:
    members: dict[str, object] = {
        "name": form.get("name", "").strip(),
        "endpointUrl": form.get("endpointUrl", "").strip(),
        "description": text_member(form, "description"),
        "eventTypes": subscription_fields.event_types(form),
        "eventFilters": subscription_fields.event_filters(form),
        "notificationEmail": text_member(form, "notificationEmail"),
    }
    if scope := form.get("scope"):
        members["scope"] = scope
    return members
