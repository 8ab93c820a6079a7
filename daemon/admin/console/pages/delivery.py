"""One attempt: its place beside the others, its parts as files, and another attempt."""

from typing import Any

from aiohttp import web

from daemon.admin.api.problems import Problem
from daemon.admin.console.downloads import text_file
from daemon.admin.console.page import PageRequest, page
from daemon.admin.console.url_query import with_query


class DeliveryPages:
    """The actions that an attempt permits."""

    @page("GET /deliveries/{id}")
    async def delivery(self, request: PageRequest) -> web.StreamResponse:
        """An attempt, beside the others of its webhook."""
        delivery = await request.api("retrieveDelivery", request.object_id)
        return request.redirect(f"/webhooks/{delivery.webhook_id}?delivery={delivery.id}")

    @page("POST /deliveries/{id}/retry", once=True)
    async def retry(self, request: PageRequest) -> web.StreamResponse:
        """Make another attempt now, and show it."""
        delivery = await request.api("retrieveDelivery", request.object_id)
        started = await request.api("retryDelivery", request.object_id)
        query = with_query(request.query, delivery=started.id)
        return request.redirect(f"/webhooks/{delivery.webhook_id}{query}")

    @page("GET /deliveries/{id}/request", document=False)
    async def request_body(self, request: PageRequest) -> web.StreamResponse:
        """The body that was sent, as far as it is shown, as a file."""
        delivery = await _with(request, "request")
        return text_file(delivery.request.body, name=f"{delivery.message_id}-request.txt")

    @page("GET /deliveries/{id}/response", document=False)
    async def response_body(self, request: PageRequest) -> web.StreamResponse:
        """The body that was received, as far as it is stored, as a file."""
        delivery = await _with(request, "response")
        return text_file(delivery.response.body or "", name=f"{delivery.message_id}-response.txt")

    @page("GET /deliveries/{id}/curl", document=False)
    async def curl(self, request: PageRequest) -> web.StreamResponse:
        """The request as a command, as a file."""
        delivery = await _with(request, "request")
        if delivery.request.curl is None:
            raise Problem(404, "the body is too large for a command")
        return text_file(delivery.request.curl + "\n", name=f"{delivery.message_id}-curl.txt")


async def _with(request: PageRequest, part: str) -> Any:
    """Raises Problem (404) for an attempt without this part."""
    delivery = await request.api("retrieveDelivery", request.object_id)
    if getattr(delivery, part) is None:
        raise Problem(404, f"this attempt has no {part}")
    return delivery
