"""Creating a webhook: the form, and what it says while it is filled in."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aiohttp import web

from daemon.admin.api.problems import Problem
from daemon.admin.console import subscription_fields
from daemon.admin.console.form_token import EDIT
from daemon.admin.console.form_tokens import redirect_with_secret
from daemon.admin.console.forms import errors_of
from daemon.admin.console.page import PageRequest, page
from daemon.admin.console.pages.webhook_secret import CREATED, secret_page
from daemon.admin.console.webhook_fields import FIELDS, edited, new_webhook
from daemon.admin.console.webhook_form_page import form_page

EMPTY = {"which": "all", "status": "active"}


class WebhookForms:
    """The form, and its parts that change while a person types."""

    @page("GET /webhooks/new")
    async def new(self, request: PageRequest) -> web.StreamResponse:
        """An empty form; the list of webhooks may have given a URL."""
        url = request.query.get("endpointUrl", "")
        return await form_page(request, EMPTY | {"endpointUrl": url})

    @page("POST /webhooks/new", once=True, edits=True)
    async def create(self, request: PageRequest) -> web.StreamResponse:
        """Create the webhook, and show its secret, once."""
        if EDIT in request.form:
            return await edited_form(request)
        try:
            created = await request.api("createWebhook", body=new_webhook(request.form))
        except Problem as problem:
            return await refused_form(request, problem)
        shown_at = secret_page(created.id, done=CREATED)
        return redirect_with_secret(request, shown_at, created.secret_key)

    @page("POST /webhooks/check", reads=True)
    async def check(self, request: PageRequest) -> web.StreamResponse:
        """The fault of the URL in the form, if it has one."""
        url = request.form.get("endpointUrl", "").strip()
        return await request.page("form_url.html", url=url, error=await _url_error(request, url))

    @page("POST /webhooks/preview", reads=True)
    async def preview(self, request: PageRequest) -> web.StreamResponse:
        """How many of the latest events the form's types and filters would match."""
        preview = await preview_of(request, request.form)
        return await request.page("form_preview.html", preview=preview)


async def edited_form(request: PageRequest, *, webhook: Any = None) -> web.Response:
    """The form after one of the buttons that only change it."""
    try:
        values = edited(request.form, request.form[EDIT])
    except Problem as problem:
        return await refused_form(request, problem, webhook=webhook)
    return await form_page(
        request,
        values,
        webhook=webhook,
        preview=await preview_of(request, values),
        url_judged=True,
        url_error=await _url_error(request, values.get("endpointUrl", "").strip()),
    )


async def refused_form(
    request: PageRequest, problem: Problem, *, webhook: Any = None
) -> web.Response:
    """The form as it was sent, with what is wrong. Raises a problem that is not about the input."""
    return await form_page(
        request,
        request.form,
        webhook=webhook,
        errors=errors_of(problem, shown=FIELDS),
        status=problem.status,
        preview=await preview_of(request, request.form),
    )


async def preview_of(request: PageRequest, form: Mapping[str, str]) -> dict[str, Any]:
    """Recent events that the form's types and filters match, and faults of these."""
    try:
        body = {
            "eventTypes": subscription_fields.event_types(form),
            "eventFilters": subscription_fields.event_filters(form),
        }
        found = await request.api("previewFilter", body=body)
    except Problem as problem:
        errors = errors_of(problem, shown=FIELDS)
        return {"errors": errors.fields or {"eventFilters": errors.sentence}}
    warnings: list[str] = []
    with suppress(Problem):
        url = form.get("endpointUrl", "").strip()
        warnings = (await _check(request, endpointUrl=url, **body)).warnings
    return {"found": found, "warnings": warnings, "errors": {}}


async def _url_error(request: PageRequest, url: str) -> str | None:
    """The fault of a URL; None if it has none, or is empty yet."""
    if not url:
        return None
    try:
        await _check(request, endpointUrl=url)
    except Problem as problem:
        return errors_of(problem, shown=FIELDS).of("endpointUrl")
    return None


async def _check(request: PageRequest, **members: object) -> Any:
    """Judge some settings of a new webhook. Raises Problem as the API does."""
    return await request.api("createWebhook", body={"name": "a", "dryRun": True, **members})
