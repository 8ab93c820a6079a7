"""Buttons of one webhook: pause, resume, probe."""

from aiohttp import web

from daemon.admin.console.page import PageRequest, page


class WebhookActions:
    """Forms with a button each."""

    @page("POST /webhooks/{id}/pause")
    async def pause(self, request: PageRequest) -> web.StreamResponse:
        """Pause the webhook."""
        await request.api("pauseWebhook", request.object_id)
        return request.redirect(f"/webhooks/{request.object_id}")

    @page("POST /webhooks/{id}/resume")
    async def resume(self, request: PageRequest) -> web.StreamResponse:
        """Resume the webhook, and say how to replay what it missed."""
        await request.api("resumeWebhook", request.object_id)
        return request.redirect(f"/webhooks/{request.object_id}?done=resumed")

    @page("POST /webhooks/{id}/probe")
    async def probe(self, request: PageRequest) -> web.StreamResponse:
        """Make the oldest pending attempt now, and show it."""
        started = await request.api("probeWebhook", request.object_id)
        return request.redirect(f"/webhooks/{request.object_id}?delivery={started.id}")
