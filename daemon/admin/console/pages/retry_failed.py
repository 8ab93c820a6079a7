"""Retry what a webhook's receiver did not take: all exhausted deliveries of a time range."""

from collections.abc import Mapping
from datetime import timedelta

from aiohttp import web

from daemon.admin.api.problems import Problem
from daemon.admin.console.form_times import as_timestamp
from daemon.admin.console.forms import FormErrors, errors_of
from daemon.admin.console.page import PageRequest, page

FIELDS = frozenset({"from", "to"})
DEFAULT = timedelta(hours=24)
RUNNING = 409


class RetryFailedPages:
    """The form."""

    @page("GET /webhooks/{id}/retry-failed")
    async def form(self, request: PageRequest) -> web.StreamResponse:
        """A time range; the last day, unless the URL says another."""
        since = (request.now - DEFAULT).strftime("%Y-%m-%dT%H:%M")
        return await _page(request, {"from": since} | request.query, FormErrors())

    @page("POST /webhooks/{id}/retry-failed", once=True)
    async def retry(self, request: PageRequest) -> web.StreamResponse:
        """Send them again, and show the replay that does."""
        body: dict[str, object] = {"from": as_timestamp(request.form.get("from", ""))}
        if until := request.form.get("to"):
            body["to"] = as_timestamp(until)
        try:
            started = await request.api("retryFailedDeliveries", request.object_id, body=body)
        except Problem as problem:
            if problem.status == RUNNING and "id" in problem.members:
                return request.redirect(f"/replays/{problem.members['id']}?done=same")
            errors = errors_of(problem, shown=FIELDS)
            return await _page(request, request.form, errors, status=problem.status)
        if started.replay_id is None:
            nothing = FormErrors("No delivery of this time is exhausted: nothing to retry.")
            return await _page(request, request.form, nothing)
        return request.redirect(f"/replays/{started.replay_id}")


async def _page(
    request: PageRequest, values: Mapping[str, str], errors: FormErrors, *, status: int = 200
) -> web.Response:
    webhook = await request.api("retrieveWebhook", request.object_id)
    return await request.page(
        "retry_failed.html",
        status=status,
        webhook=webhook,
        tab="replays",
        values=values,
        errors=errors,
    )
