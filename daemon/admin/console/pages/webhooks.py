"""The list of a tenant's webhooks; what fails stands first."""

from aiohttp import web

from daemon.admin.console.page import PageRequest, page

PER_PAGE = 50


class WebhookPages:
    """The list."""

    @page("GET /webhooks")
    async def list_page(self, request: PageRequest) -> web.StreamResponse:
        """Webhooks by state and search."""
        query = {name: request.query[name] for name in ("after",) if name in request.query}
        found = await request.api("listWebhooks", query={"limit": str(PER_PAGE), **query})
        return request.page("webhooks.html", webhooks=found.webhooks, next=found.next)
