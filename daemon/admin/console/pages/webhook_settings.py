"""Settings of a webhook: change them, rotate its secret, and delete it."""

from typing import Any

from aiohttp import web

from daemon.admin.api.problems import Problem
from daemon.admin.console.form_token import EDIT
from daemon.admin.console.form_tokens import redirect_with_secret
from daemon.admin.console.forms import FormErrors, text_member
from daemon.admin.console.page import PageRequest, page
from daemon.admin.console.pages.webhook_form import edited_form, preview_of, refused_form
from daemon.admin.console.pages.webhook_secret import ROTATED, secret_page
from daemon.admin.console.webhook_fields import changes_of, stored_fields
from daemon.admin.console.webhook_form_page import form_page

OVERLAP, CONFIRMED_NAME = "overlap", "confirmedName"


class WebhookSettingsPages:
    """The form with the present settings, and the forms below it."""

    @page("GET /webhooks/{id}/settings")
    async def settings(self, request: PageRequest) -> web.StreamResponse:
        """The form with the present settings."""
        webhook = await request.api("retrieveWebhook", request.object_id)
        fields = stored_fields(webhook)
        # Who may change the form has it compared while it is filled in: it sends its fields.
        may_change = request.session.may_change
        preview = None if may_change else await preview_of(request, fields)
        return await form_page(request, fields, webhook=webhook, preview=preview)

    @page("POST /webhooks/{id}/settings")
    async def change(self, request: PageRequest) -> web.StreamResponse:
        """Change the settings."""
        webhook = await request.api("retrieveWebhook", request.object_id)
        if EDIT in request.form:
            return await edited_form(request, webhook=webhook)
        try:
            if changes := changes_of(request.form, webhook):
                await request.api("updateWebhook", request.object_id, body=changes)
        except Problem as problem:
            return await refused_form(request, problem, webhook=webhook)
        return request.redirect(f"/webhooks/{request.object_id}/settings?done=saved")

    @page("POST /webhooks/{id}/rotate", once=True)
    async def rotate(self, request: PageRequest) -> web.StreamResponse:
        """Give the webhook a new secret, and show it, once."""
        body: dict[str, object] = {"overlap": text_member(request.form, OVERLAP) or "24h"}
        if request.form.get("replace"):
            body["replace"] = True
        try:
            rotated = await request.api("rotateWebhookSecret", request.object_id, body=body)
        except Problem as problem:
            return await _refused(request, problem, field=OVERLAP)
        shown_at = secret_page(request.object_id, done=ROTATED)
        return redirect_with_secret(request, shown_at, rotated.secret_key)

    @page("POST /webhooks/{id}/delete")
    async def delete(self, request: PageRequest) -> web.StreamResponse:
        """Delete the webhook with its deliveries, if its name was typed."""
        webhook = await request.api("retrieveWebhook", request.object_id)
        if request.form.get(CONFIRMED_NAME, "").strip() != webhook.name.strip():
            sentence = "This is not the name of the webhook. Nothing was deleted."
            return await _refused(request, Problem(422, sentence), field=CONFIRMED_NAME)
        await request.api("deleteWebhook", request.object_id)
        return request.redirect("/webhooks?done=deleted")


async def _refused(request: PageRequest, problem: Problem, *, field: str) -> web.Response:
    """The settings, with the sentence beside the field of the form that was refused."""
    if problem.status not in {400, 409, 422}:
        raise problem
    webhook: Any = await request.api("retrieveWebhook", request.object_id)
    return await form_page(
        request,
        stored_fields(webhook),
        webhook=webhook,
        errors=FormErrors(fields={field: problem.error}),
        status=problem.status,
    )
