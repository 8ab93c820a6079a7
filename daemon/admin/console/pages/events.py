"""Stored events: the list, one with what became of it, and the catalogue of types."""

from typing import Any

import orjson
from aiohttp import web

from daemon.admin.console.page import PageRequest, page

PER_PAGE = 50
FILTERS = ("type", "from", "to", "before")


class EventPages:
    """Events and their types."""

    @page("GET /events")
    async def list_page(self, request: PageRequest) -> web.StreamResponse:
        """The newest events, or those of the filters in the URL."""
        query = {name: request.query[name] for name in FILTERS if name in request.query}
        found = await request.api("listEvents", query={"limit": str(PER_PAGE), **query})
        return request.page("events.html", events=found.events, next=found.next)

    @page("GET /events/{id}")
    async def event(self, request: PageRequest) -> web.StreamResponse:
        """An event with the deliveries of each webhook."""
        event = await request.api("retrieveEvent", request.object_id)
        webhooks = {each.id: each for each in (await request.api("listWebhooks")).webhooks}
        return request.page("event.html", event=event, data=_text(event.data), webhooks=webhooks)

    @page("GET /event-types")
    async def types(self, request: PageRequest) -> web.StreamResponse:
        """The catalogue."""
        found = await request.api("listEventTypes")
        samples = {each.name: _text(each.sample) for each in found.event_types}
        return request.page("event_types.html", types=found.event_types, samples=samples)


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()
