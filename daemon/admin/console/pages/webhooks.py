"""The list of a tenant's webhooks; what fails stands first."""

from aiohttp import web

from daemon.admin.console.page import PageRequest, page

PER_PAGE = 50
FILTERS = ("after", "state", "search")
STATES = {"": "All", "failing": "Failing", "paused": "Paused", "active": "Active"}


class WebhookPages:
    """The list."""

    @page("GET /webhooks")
    async def list_page(self, request: PageRequest) -> web.StreamResponse:
        """Webhooks by state and search."""
        query = {name: request.query[name] for name in FILTERS if name in request.query}
        asked = {"limit": str(PER_PAGE), "include": "hourly", "sort": "trouble"}
        found = await request.api("listWebhooks", query=asked | query)
        return await request.page(
            "webhooks.html", webhooks=found.webhooks, next=found.next, states=STATES
        )
