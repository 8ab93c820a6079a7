"""How to receive a webhook's deliveries: code, headers, addresses and retries."""

from aiohttp import web

from daemon.admin.console.page import PageRequest, page
from daemon.admin.console.receiver_code import receiver_code


class ReceivePages:
    """The page."""

    @page("GET /webhooks/{id}/receive")
    async def receive(self, request: PageRequest) -> web.StreamResponse:
        """How to verify and answer deliveries."""
        webhook = await request.api("retrieveWebhook", request.object_id)
        delivery = await request.api("retrieveDeliverySettings")
        waits = delivery.retry_schedules.get(webhook.retry_schedule, delivery.retry_schedule)
        return await request.page(
            "webhook_receive.html",
            webhook=webhook,
            tab="receive",
            code=receiver_code(webhook.endpoint_url),
            delivery=delivery,
            waits=waits,
        )
