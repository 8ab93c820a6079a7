"""The settings of a webhook: taken from a request, merged with stored ones, and checked."""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

from pydantic import BaseModel

from daemon.admin import schemas
from daemon.admin.api.problems import invalid_member
from daemon.core.matching.compiler import UnusableFilter, compile_subscription
from daemon.core.matching.matcher import Matcher
from daemon.core.model.webhooks import WebhookSettings
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.core.policy.refusal import Refusal
from daemon.core.policy.urls import judge_url


def given_members(body: BaseModel) -> dict[str, Any]:
    """The members that the client sent, including those that are null."""
    return {name: getattr(cast("Any", body), name) for name in body.model_fields_set}


def new_settings(body: schemas.CreateWebhookRequest) -> WebhookSettings:
    """The settings of a new webhook."""
    return WebhookSettings(
        name=body.name,
        description=body.description,
        endpoint_url=body.endpoint_url,
        event_types=_event_types(body.event_types),
        event_filters=_event_filters(body.event_filters),
        notification_email=body.notification_email,
    )


def changed_settings(settings: WebhookSettings, changes: dict[str, Any]) -> WebhookSettings:
    """Stored settings with the given members replaced; other members are ignored."""
    members = {
        name: value
        for name, value in changes.items()
        if name in WebhookSettings.__dataclass_fields__
    }
    if "event_types" in members:
        members["event_types"] = _event_types(members["event_types"])
    if "event_filters" in members:
        members["event_filters"] = _event_filters(members["event_filters"])
    return replace(settings, **members)


def check_settings(settings: WebhookSettings, policy: EgressPolicy) -> None:
    """Raises Problem (422) for a URL that is refused or a filter that cannot be used."""
    url = judge_url(settings.endpoint_url, policy)
    if isinstance(url, Refusal):
        raise invalid_member("endpointUrl", url.reason)
    _usable(settings.event_types, settings.event_filters)


def usable_subscription(
    event_types: Iterable[str] | None, event_filters: schemas.EventFilters | None
) -> Matcher:
    """Compile a subscription. Raises Problem (422) for one that no webhook could have."""
    return _usable(_event_types(event_types), _event_filters(event_filters))


def _usable(event_types: tuple[str, ...] | None, event_filters: str | None) -> Matcher:
    matcher = compile_subscription(event_types, event_filters)
    if isinstance(matcher, UnusableFilter):
        raise invalid_member("eventFilters", matcher.reason)
    return matcher


def _event_types(names: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def _event_filters(filters: schemas.EventFilters | None) -> str | None:
    """JSON text; a null member filters nothing, exactly like an absent one."""
    if filters is None:
        return None
    members = filters.model_dump(mode="json", exclude_unset=True)
    conditions = {name: value for name, value in members.items() if value is not None}
    # orjson limits integers to 64 bits; PostgreSQL and this keep any length. Not escaping
    # non-ASCII makes the text as long as PostgreSQL prints it.
    return json.dumps(conditions, ensure_ascii=False)
