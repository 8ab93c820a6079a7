"""Stored events: the list, and one with what became of it at every webhook."""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from daemon.admin.api.problems import Problem
from daemon.admin.console.downloads import text_file
from daemon.admin.console.form_times import as_timestamp
from daemon.admin.console.forms import FormErrors, errors_of
from daemon.admin.console.page import PageRequest, page, uuid_of

PER_PAGE = 50
WEBHOOKS_PER_PAGE = 25
FILTERS = ("contact", "campaign", "type", "from", "to", "before")
TIMES = {"from", "to"}


class EventPages:
    """Events, and what became of them."""

    @page("GET /events")
    async def list_page(self, request: PageRequest) -> web.StreamResponse:
        """The newest events, or those of the filters in the URL."""
        facets = await request.api("listEventFacets")
        errors, found = FormErrors(), None
        try:
            query = {"limit": str(PER_PAGE), **_filters(request.query)}
            found = await request.api("listEvents", query=query)
        except Problem as problem:
            errors = errors_of(problem, shown=frozenset(FILTERS))
        return await request.page(
            "events.html",
            status=422 if found is None else 200,
            events=[] if found is None else found.events,
            next=None if found is None else found.next,
            looked_to=None if found is None else found.looked_to,
            facets=facets,
            errors=errors,
        )

    @page("GET /events/{id}")
    async def event(self, request: PageRequest) -> web.StreamResponse:
        """An event with what became of it, a page of webhooks at a time."""
        event_id = request.event_id
        event = await request.api("retrieveEvent", event_id)
        asked = {n: v for n, v in request.query.items() if n in {"after", "search"}}
        if "after" in asked:
            uuid_of(asked["after"])
        found = await request.api(
            "listEventOutcomes", event_id, query={"limit": str(WEBHOOKS_PER_PAGE), **asked}
        )
        return await request.page(
            "event.html",
            event=event,
            data=None if event.data_cut else _text(event.data),
            outcomes=found.outcomes,
            next=found.next,
            attempts={each.id: each for each in event.deliveries},
        )

    @page("GET /events/{id}/data", document=False)
    async def data(self, request: PageRequest) -> web.StreamResponse:
        """The data of an event as a file."""
        event = await request.api("retrieveEvent", request.event_id)
        if event.data_cut:
            raise Problem(404, "the data of this event are too large to be shown")
        return text_file(_text(event.data), name=f"{event.message_id}.json.txt")


def _filters(query: Mapping[str, str]) -> dict[str, str]:
    given = {name: query[name].strip() for name in FILTERS if name in query}
    return {name: as_timestamp(v) if name in TIMES else v for name, v in given.items() if v}


def _text(data: Any) -> str:
    """The JSON text of data; text that no parser reads is shown as a string by the API."""
    return data if isinstance(data, str) else orjson.dumps(data).decode()
