"""Undelivered events of a webhook, and the reason for each."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from aiohttp import web

from daemon.admin.api.problems import Problem
from daemon.admin.console.form_times import as_timestamp
from daemon.admin.console.forms import FormErrors, errors_of
from daemon.admin.console.page import PageRequest, page
from daemon.admin.console.pages.webhook_replays import range_fields

PER_PAGE = 50
FILTERS = ("from", "to", "before")
RANGES = {"Last day": timedelta(days=1), "Last 7 days": timedelta(7), "Last 30 days": timedelta(30)}


class UndeliveredPages:
    """The list, and the explanation of one event."""

    @page("GET /webhooks/{id}/undelivered")
    async def list_page(self, request: PageRequest) -> web.StreamResponse:
        """The undelivered events of the time range in the URL, by default of the last day."""
        webhook = await request.api("retrieveWebhook", request.object_id)
        errors, found = FormErrors(), None
        try:
            query = {"limit": str(PER_PAGE), **_times(request.query)}
            found = await request.api("listUndeliveredEvents", request.object_id, query=query)
        except Problem as problem:
            errors = errors_of(problem, shown=frozenset(FILTERS))
        return await request.page(
            "undelivered.html",
            status=422 if found is None else 200,
            webhook=webhook,
            tab="undelivered",
            found=found,
            errors=errors,
            ranges=_ranges(request),
            replayed=range_fields(found.from_, found.to) if found else None,
        )

    @page("GET /webhooks/{id}/why")
    async def why(self, request: PageRequest) -> web.StreamResponse:
        """The fate of one event at this webhook."""
        webhook = await request.api("retrieveWebhook", request.object_id)
        event = request.query.get("event", "").strip()
        explained: Any = None
        errors = FormErrors()
        if event:
            try:
                explained = await request.api(
                    "explainEvent", request.object_id, query={"eventId": event}
                )
            except Problem as problem:
                errors = _about_event(problem)
        return await request.page(
            "why.html",
            status=422 if errors.fields else 200,
            webhook=webhook,
            tab="undelivered",
            explained=explained,
            errors=errors,
        )


def _times(query: Mapping[str, str]) -> dict[str, str]:
    return {name: as_timestamp(query[name]) for name in FILTERS if name in query}


def _ranges(request: PageRequest) -> dict[str, str]:
    """The beginning of each range, to the hour: a count is kept for the same range only."""
    hour = request.now.replace(minute=0, second=0, microsecond=0)
    return {name: f"{hour - length:%Y-%m-%dT%H:%M}" for name, length in RANGES.items()}


def _about_event(problem: Problem) -> FormErrors:
    """The problem beside the field for the event's id; raises another one."""
    if problem.status == 404:
        return FormErrors(None, {"event": "There is no event with this id."})
    errors = errors_of(problem, shown=frozenset({"eventId"}))
    sentence = errors.of("eventId")
    return errors if sentence is None else FormErrors(None, {"event": sentence})
