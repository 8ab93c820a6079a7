"""Creating a webhook, and changing its settings: one form for both."""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from daemon.admin.api.problems import Problem
from daemon.admin.console.form_tokens import redirect_with_secret
from daemon.admin.console.forms import (
    ON,
    FormErrors,
    chosen_types,
    errors_of,
    json_member,
    text_member,
)
from daemon.admin.console.page import PageRequest, page
from daemon.admin.console.pages.webhook_secret import secret_page
from daemon.core.event_types import EVENT_TYPES

FIELDS = frozenset(
    {
        *("name", "endpointUrl", "description", "eventTypes", "eventFilters", "isActive"),
        *("customHeaders", "notificationEmail"),
    }
)
KNOWN_TYPES = [each.name for each in EVENT_TYPES]


class WebhookForms:
    """The pages of the form."""

    @page("GET /webhooks/new")
    async def new(self, request: PageRequest) -> web.StreamResponse:
        """An empty form."""
        return _form_page(request, webhook=None, values=_empty(), errors=FormErrors())

    @page("POST /webhooks/new", once=True)
    async def create(self, request: PageRequest) -> web.StreamResponse:
        """Create the webhook, and show its secret, once."""
        try:
            created = await request.api("createWebhook", body=_body(request.form))
        except Problem as problem:
            errors = errors_of(problem, shown=FIELDS)
            return _form_page(
                request, webhook=None, values=request.form, errors=errors, status=problem.status
            )
        return redirect_with_secret(request, secret_page(created.id), created.secret_key)

    @page("GET /webhooks/{id}/settings")
    async def settings(self, request: PageRequest) -> web.StreamResponse:
        """The form with the present settings."""
        webhook = await request.api("retrieveWebhook", request.object_id)
        return _form_page(request, webhook=webhook, values=_values_of(webhook), errors=FormErrors())

    @page("POST /webhooks/{id}/settings")
    async def change(self, request: PageRequest) -> web.StreamResponse:
        """Change the settings."""
        webhook = await request.api("retrieveWebhook", request.object_id)
        try:
            await request.api("updateWebhook", request.object_id, body=_body(request.form))
        except Problem as problem:
            errors = errors_of(problem, shown=FIELDS)
            return _form_page(
                request, webhook=webhook, values=request.form, errors=errors, status=problem.status
            )
        return request.redirect(f"/webhooks/{request.object_id}/settings?done=saved")


def _form_page(
    request: PageRequest,
    *,
    webhook: Any,
    values: Mapping[str, str],
    errors: FormErrors,
    status: int = 200,
) -> web.Response:
    return request.page(
        "webhook_form.html",
        status=status,
        webhook=webhook,
        tab="settings",
        values=values,
        errors=errors,
        groups=_groups(),
        chosen=chosen_types(values),
    )


def _groups() -> dict[str, list[Any]]:
    """The event types by the part before the dot."""
    groups: dict[str, list[Any]] = {}
    for each in EVENT_TYPES:
        groups.setdefault(each.name.partition(".")[0], []).append(each)
    return groups


def _body(form: Mapping[str, str]) -> dict[str, object]:
    """The body of the API's operation. Raises Problem (422) for a field that is no JSON."""
    all_types = form.get("allTypes") == ON
    body: dict[str, object] = {
        "name": form.get("name", "").strip(),
        "endpointUrl": form.get("endpointUrl", "").strip(),
        "description": text_member(form, "description"),
        "eventTypes": None if all_types else chosen_types(form) or None,
        "eventFilters": json_member(form.get("eventFilters", ""), "eventFilters"),
        "isActive": form.get("isActive") == ON,
        "notificationEmail": text_member(form, "notificationEmail"),
    }
    headers = json_member(form.get("customHeaders", ""), "customHeaders")
    if headers is not None:
        body["customHeaders"] = headers
    return body


def _empty() -> dict[str, str]:
    return {"allTypes": ON, "isActive": ON}


def _values_of(webhook: Any) -> dict[str, str]:
    types = webhook.event_types or []
    values = {
        "name": webhook.name,
        "endpointUrl": webhook.endpoint_url,
        "description": webhook.description or "",
        "eventFilters": _json(webhook.event_filters),
        "notificationEmail": webhook.notification_email or "",
        "otherTypes": " ".join(each for each in types if each not in KNOWN_TYPES),
    }
    values |= {f"type.{each}": ON for each in types if each in KNOWN_TYPES}
    if not types:
        values["allTypes"] = ON
    if webhook.is_active:
        values["isActive"] = ON
    return values


def _json(value: object) -> str:
    return "" if value is None else orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
