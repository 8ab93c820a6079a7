"""What is done with one webhook: pause, resume, probe, rotate its secret, delete it."""

from aiohttp import web

from daemon.admin.api.problems import Problem
from daemon.admin.console.form_tokens import redirect_with_secret
from daemon.admin.console.forms import text_member
from daemon.admin.console.page import PageRequest, page
from daemon.admin.console.pages.webhook_secret import secret_page


class WebhookActions:
    """Forms with a button each."""

    @page("POST /webhooks/{id}/pause")
    async def pause(self, request: PageRequest) -> web.StreamResponse:
        """Pause the webhook."""
        await request.api("pauseWebhook", request.object_id)
        return request.redirect(f"/webhooks/{request.object_id}")

    @page("POST /webhooks/{id}/resume")
    async def resume(self, request: PageRequest) -> web.StreamResponse:
        """Resume the webhook."""
        await request.api("resumeWebhook", request.object_id)
        return request.redirect(f"/webhooks/{request.object_id}")

    @page("POST /webhooks/{id}/probe")
    async def probe(self, request: PageRequest) -> web.StreamResponse:
        """Make the oldest pending attempt now, and show it."""
        started = await request.api("probeWebhook", request.object_id)
        return request.redirect(f"/webhooks/{request.object_id}?delivery={started.id}")

    @page("POST /webhooks/{id}/rotate", once=True)
    async def rotate(self, request: PageRequest) -> web.StreamResponse:
        """Give the webhook a new secret, and show it, once."""
        overlap = text_member(request.form, "overlap") or "24h"
        rotated = await request.api(
            "rotateWebhookSecret", request.object_id, body={"overlap": overlap}
        )
        return redirect_with_secret(request, secret_page(request.object_id), rotated.secret_key)

    @page("POST /webhooks/{id}/delete")
    async def delete(self, request: PageRequest) -> web.StreamResponse:
        """Delete the webhook with its deliveries, if its name was typed."""
        webhook = await request.api("retrieveWebhook", request.object_id)
        if request.form.get("name", "").strip() != webhook.name.strip():
            raise Problem(422, "the name does not match: the webhook was not deleted")
        await request.api("deleteWebhook", request.object_id)
        return request.redirect("/webhooks?done=deleted")

    @page("GET /webhooks/{id}/receive")
    async def receive(self, request: PageRequest) -> web.StreamResponse:
        """How to verify and answer deliveries."""
        webhook = await request.api("retrieveWebhook", request.object_id)
        return request.page("webhook_receive.html", webhook=webhook, tab="receive")
