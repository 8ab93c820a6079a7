"""Test events: one is chosen, sent at once, and what came of it is shown."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from daemon.admin import schemas
from daemon.admin.api.problems import Problem
from daemon.admin.console.forms import ON, FormErrors, errors_of, text_member
from daemon.admin.console.page import PageRequest, page
from daemon.core.event_types import EVENT_TYPES
from daemon.core.matching.compiler import compile_types
from daemon.core.model.operational_events import WebhookScope
from daemon.core.operational_event_types import OPERATIONAL_TYPES
from daemon.core.wire.event_ids import parse_event_id

MEMBERS = ("eventType", "campaignId", "contactId")
SHOWN = frozenset({*MEMBERS, "eventId"})


class WebhookTests:
    """The page of test events."""

    __test__ = False  # not a pytest class

    @page("GET /webhooks/{id}/test")
    async def form(self, request: PageRequest) -> web.StreamResponse:
        """The form; a link may choose the event."""
        return await _page(request, request.query)

    @page("POST /webhooks/{id}/test", once=True)
    async def send(self, request: PageRequest) -> web.StreamResponse:
        """Send a test event, and show what came of it."""
        form = request.form
        try:
            result = await request.api("sendTestEvent", request.object_id, body=_body(form))
        except Problem as problem:
            if "success" not in problem.members:
                errors = errors_of(problem, shown=SHOWN)
                return await _page(request, form, errors=errors, status=problem.status)
            failed = schemas.FailedTestEvent.model_validate(dict(problem.members))
            return await _page(request, form, result=failed, error=problem.error)
        return await _page(request, form, result=result)


def _body(form: Mapping[str, str]) -> dict[str, object]:
    if event := text_member(form, "eventId"):
        return {"eventId": event}
    body: dict[str, object] = {
        name: value for name in MEMBERS if (value := text_member(form, name))
    }
    return body | {"sample": True} if form.get("sample") == ON else body


async def _page(
    request: PageRequest,
    values: Mapping[str, str],
    *,
    errors: FormErrors | None = None,
    result: Any = None,
    error: str | None = None,
    status: int = 200,
) -> web.Response:
    webhook = await request.api("retrieveWebhook", request.object_id)
    gets_events = webhook.scope == WebhookScope.EVENTS
    types = EVENT_TYPES if gets_events else OPERATIONAL_TYPES
    facets = await request.api("listEventFacets") if gets_events else None
    return await request.page(
        "webhook_test.html",
        status=status,
        webhook=webhook,
        tab="test",
        types=types,
        facets=facets,
        likely_type=_likely_type(
            webhook.event_types, [each.name for each in (*(facets.types if facets else ()), *types)]
        ),
        chosen=await _chosen(request, values),
        values=values,
        errors=errors or FormErrors(),
        result=result,
        error=error,
    )


def _likely_type(wanted: Sequence[str] | None, known: Sequence[str]) -> str:
    """The first of the known types that the webhook gets; without one, a type that it names."""
    patterns = compile_types(wanted or ())
    named = (each for each in wanted or () if not each.endswith("*"))
    return next((each for each in known if patterns.matches(each)), next(named, known[0]))


async def _chosen(request: PageRequest, values: Mapping[str, str]) -> Any:
    """The stored event that is to be sent; None if none, or an unknown one, is named."""
    try:
        event_id = parse_event_id(values.get("eventId", ""))
        return await request.api("retrieveEvent", event_id)
    except (ValueError, Problem):
        return None
