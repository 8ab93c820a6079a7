"""The secret of a new webhook, or a rotated one: shown once, to the session that made it."""

from uuid import UUID

from aiohttp import web

from daemon.admin.api.problems import Problem
from daemon.admin.console.forms import text_member
from daemon.admin.console.page import PageRequest, page
from daemon.admin.console.receiver_code import receiver_code
from daemon.core.event_types import EVENT_TYPES

CREATED, ROTATED = "created", "rotated"


def secret_page(webhook_id: UUID, *, done: str) -> str:
    """The path of the page that shows a new secret, after what was done."""
    return f"/webhooks/{webhook_id}/secret?done={done}"


class WebhookSecrets:
    """The page, and the test event that is sent from it."""

    @page("GET /webhooks/{id}/secret")
    async def show(self, request: PageRequest) -> web.StreamResponse:
        """The new secret; after a reload, that it was shown."""
        webhook = await request.api("retrieveWebhook", request.object_id)
        done = ROTATED if request.query.get("done") == ROTATED else CREATED
        path = secret_page(request.object_id, done=done)
        return await request.page(
            "webhook_secret.html",
            webhook=webhook,
            done=done,
            secret=await request.form_tokens.take_secret(request, path),
            code=receiver_code(webhook.endpoint_url),
            types=EVENT_TYPES,
        )

    @page("POST /webhooks/{id}/try", once=True)
    async def try_out(self, request: PageRequest) -> web.StreamResponse:
        """Send a test event; the answer is a part of the page, which keeps the secret."""
        body = {"eventType": text_member(request.form, "eventType") or "email.opened"}
        try:
            result = await request.api("sendTestEvent", request.object_id, body=body)
        except Problem as problem:
            if "success" not in problem.members and problem.status != 429:
                raise
            return await request.page("tried.html", problem=problem, result=None)
        return await request.page("tried.html", problem=None, result=result)
