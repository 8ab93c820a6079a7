"""The secret of a new webhook, or a rotated one: shown once, to the session that made it."""

from uuid import UUID

from aiohttp import web

from daemon.admin.console.page import PageRequest, page


def secret_page(webhook_id: UUID) -> str:
    """The path of the page that shows a new secret."""
    return f"/webhooks/{webhook_id}/secret"


class WebhookSecrets:
    """The page."""

    @page("GET /webhooks/{id}/secret")
    async def show(self, request: PageRequest) -> web.StreamResponse:
        """The new secret; after a reload, that it was shown."""
        webhook = await request.api("retrieveWebhook", request.object_id)
        path = secret_page(request.object_id)
        secret = await request.form_tokens.take_secret(request, path)
        return request.page("webhook_secret.html", webhook=webhook, secret=secret)
