"""What is done with one webhook: pause, resume, probe, rotate its secret, delete it, test it."""

from typing import Any

from aiohttp import web

from daemon.admin.api.problems import Problem
from daemon.admin.console.form_tokens import redirect_with_secret
from daemon.admin.console.forms import FormErrors, errors_of, text_member
from daemon.admin.console.page import PageRequest, page
from daemon.admin.console.pages.webhook_secret import secret_page
from daemon.core.event_types import EVENT_TYPES

TEST_FIELDS = frozenset({"eventType", "campaignId", "contactId"})


class WebhookActions:
    """Forms with a button each, and the page of test events."""

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

    @page("GET /webhooks/{id}/test")
    async def test_form(self, request: PageRequest) -> web.StreamResponse:
        """The form of a test event."""
        return await _test_page(request, errors=FormErrors(), result=None)

    @page("POST /webhooks/{id}/test")
    async def test(self, request: PageRequest) -> web.StreamResponse:
        """Send a test event, and show what came of it."""
        body: dict[str, object] = {
            name: value for name in TEST_FIELDS if (value := text_member(request.form, name))
        }
        if request.form.get("sample"):
            body["sample"] = True
        try:
            result = await request.api("sendTestEvent", request.object_id, body=body)
        except Problem as problem:
            if "success" in problem.members:
                return await _test_page(request, errors=FormErrors(), result=problem)
            errors = errors_of(problem, shown=TEST_FIELDS)
            return await _test_page(request, errors=errors, result=None, status=problem.status)
        return await _test_page(request, errors=FormErrors(), result=result)

    @page("GET /webhooks/{id}/receive")
    async def receive(self, request: PageRequest) -> web.StreamResponse:
        """How to verify and answer deliveries."""
        webhook = await request.api("retrieveWebhook", request.object_id)
        return request.page("webhook_receive.html", webhook=webhook, tab="receive")


async def _test_page(
    request: PageRequest, *, errors: FormErrors, result: Any, status: int = 200
) -> web.Response:
    webhook = await request.api("retrieveWebhook", request.object_id)
    return request.page(
        "webhook_test.html",
        status=status,
        webhook=webhook,
        tab="test",
        types=EVENT_TYPES,
        values=request.form,
        errors=errors,
        result=result,
    )
