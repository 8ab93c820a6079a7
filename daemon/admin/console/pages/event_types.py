"""The catalogue of event types, with the fields and a sample of each."""

import orjson
from aiohttp import web

from daemon.admin.console.page import PageRequest, page


class EventTypePages:
    """The catalogue."""

    @page("GET /event-types")
    async def types(self, request: PageRequest) -> web.StreamResponse:
        """Every type, each with an anchor of its own."""
        found = (await request.api("listEventTypes")).event_types
        groups = {
            "Events": [each for each in found if not each.operational],
            "About your webhooks": [each for each in found if each.operational],
        }
        samples = {each.name: orjson.dumps(each.sample).decode() for each in found}
        return await request.page("event_types.html", groups=groups, samples=samples)
