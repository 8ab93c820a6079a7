"""One webhook: its deliveries, and the one that is looked at beside them."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from daemon.admin.console.page import PageRequest, page, uuid_of

PER_PAGE = 50
STATUSES = ("success", "failed", "exhausted", "pending_retry")
FILTERS = {"status": "status", "type": "eventType", "from": "from", "to": "to", "before": "before"}


class WebhookDeliveryPages:
    """Deliveries, the inspector, and what can be done with a delivery."""

    @page("GET /webhooks/{id}")
    async def deliveries(self, request: PageRequest) -> web.StreamResponse:
        """The newest deliveries, or those of the filters in the URL."""
        webhook_id = request.object_id
        webhook = await request.api("retrieveWebhook", webhook_id)
        listed = await request.api(
            "listWebhookDeliveries",
            webhook_id,
            query={"limit": str(PER_PAGE), **_filters(request.query)},
        )
        selected = await _selected(request)
        return request.page(
            "webhook.html",
            webhook=webhook,
            tab="deliveries",
            deliveries=listed.deliveries,
            next=listed.next,
            selected=selected,
            statuses=STATUSES,
        )


async def _selected(request: PageRequest) -> Any:
    text = request.query.get("delivery")
    return None if text is None else await request.api("retrieveDelivery", uuid_of(text))


def _filters(query: Mapping[str, str]) -> dict[str, str]:
    return {FILTERS[name]: value for name, value in query.items() if name in FILTERS}
