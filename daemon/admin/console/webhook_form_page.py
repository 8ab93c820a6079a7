"""The page of a webhook's form, with what it offers to pick from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from daemon.admin.console import subscription_fields
from daemon.admin.console.delivery_fields import header_rows
from daemon.admin.console.form_token import EDIT
from daemon.admin.console.forms import FormErrors
from daemon.admin.console.page import PageRequest
from daemon.core.event_types import EVENT_TYPES
from daemon.core.matching.field_paths import fields_in

MOST_PATHS = 30
LIST_PATHS = {
    "workspaces": ("workspace.name", "workspace.id", "workspace_id", "workspaceId"),
    "campaign_ids": ("campaign.id", "campaign_id", "campaignId"),
}
# Fields that are closed at first.
MORE = {
    *("notificationEmail", "scope", "customHeaders", "clientCertificate"),
    *("timeout", "retrySchedule", "maxPerSecond", "maxInFlight"),
}
NO_ERRORS = FormErrors()


@dataclass(frozen=True, slots=True)
class Offered:
    """
    Paths with some values each, as fields of the form hold them; `looked` events have them.

    `lists` has the values of the fields that are lists.
    """

    paths: list[tuple[str, list[str]]]
    lists: Mapping[str, list[str]]
    looked: int


async def form_page(
    request: PageRequest,
    values: Mapping[str, str],
    *,
    webhook: Any = None,
    errors: FormErrors = NO_ERRORS,
    status: int = 200,
    preview: Any = None,
    url_judged: bool = False,
    url_error: str | None = None,
) -> web.Response:
    """
    The form of a webhook, of a new one if there is none, with these values of its fields.

    `url_error` is what is wrong with the URL, where it was judged.
    """
    delivery = await request.api("retrieveDeliverySettings")
    return await request.page(
        "webhook_form.html",
        status=status,
        webhook=webhook,
        tab="settings",
        values=values,
        errors=errors,
        groups=_groups(),
        chosen=subscription_fields.chosen_types(values),
        rows=subscription_fields.rows(values),
        headers=header_rows(values),
        button=request.form.get(EDIT, ""),
        more_open=request.form.get(EDIT) == "header" or bool(errors.fields.keys() & MORE),
        offered=await _offered(request),
        delivery=delivery,
        schedules=_schedules(delivery),
        preview=preview,
        url_judged=url_judged,
        url_error=errors.of("endpointUrl") or url_error,
    )


def _schedules(delivery: Any) -> list[tuple[str, str]]:
    """The retry schedules that a webhook can choose, with what they are."""
    waits = ", ".join(delivery.retry_schedule) or "none"
    named = sorted(delivery.retry_schedules.items())
    return [("", f"default: {waits}"), *((name, f"{name}: {', '.join(w)}") for name, w in named)]


def _groups() -> dict[str, list[Any]]:
    """The event types by the part before the dot."""
    groups: dict[str, list[Any]] = {}
    for each in EVENT_TYPES:
        groups.setdefault(each.name.partition(".")[0], []).append(each)
    return groups


async def _offered(request: PageRequest) -> Offered:
    """The fields of recent events; without events, those of the catalogue's samples."""
    found = await request.api("listEventFields")
    paths = {each.path: list(each.values) for each in found.fields}
    if not paths:
        for event_type in EVENT_TYPES:
            for path, value in fields_in(event_type.sample):
                known = paths.setdefault(path, [])
                if value not in known:
                    known.append(value)
    text_of = subscription_fields.text_of
    lists = {
        name: list(dict.fromkeys(text_of(each) for path in of for each in paths.get(path, ())))
        for name, of in LIST_PATHS.items()
    }
    shown = [(path, [text_of(each) for each in values]) for path, values in paths.items()]
    return Offered(shown[:MOST_PATHS], lists, found.looked)
