"""
The replays of a webhook, and the form of a new one: first it is counted, then it is sent.

The rule: what is sent is what was counted: the same times, and the end is a time that has passed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from daemon.admin.api.problems import Problem
from daemon.admin.console.form_times import as_timestamp
from daemon.admin.console.forms import ON, FormErrors, errors_of
from daemon.admin.console.page import PageRequest, page
from daemon.admin.console.url_query import with_query
from daemon.admin.schemas.timestamps import parse_timestamp
from daemon.core.event_types import EVENT_TYPES

PER_PAGE = 50
MOST_PAUSES = 3
FIELDS = frozenset({"from", "to", "eventTypes"})
RUNNING = 409
MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Preset:
    """A range of times to replay; pages link to it by its `key`."""

    key: str
    name: str
    since: datetime
    until: datetime

    @property
    def query(self) -> dict[str, str]:
        """The fields of the form, and which range they are."""
        return {"range": self.key, **range_fields(self.since, self.until)}


class WebhookReplayPages:
    """The tab of a webhook's replays."""

    @page("GET /webhooks/{id}/replays")
    async def list_page(self, request: PageRequest) -> web.StreamResponse:
        """The newest replays; with a time range in the URL, how many events it has."""
        if "from" not in request.query:
            if chosen := await _chosen(request):
                below = with_query(chosen.query)
                return request.redirect(f"/webhooks/{request.object_id}/replays{below}")
            return await _page(request, request.query, FormErrors())
        try:
            counted, body = await _count(request)
        except Problem as problem:
            errors = errors_of(problem, shown=FIELDS)
            return await _page(request, request.query, errors, status=problem.status)
        return await _page(request, request.query, FormErrors(), counted=counted, body=body)

    @page("POST /webhooks/{id}/replays", once=True)
    async def start(self, request: PageRequest) -> web.StreamResponse:
        """Send the events that were counted, and show how far that has come."""
        try:
            replay = await request.api("createReplay", body=_body(request, request.form))
        except Problem as problem:
            if problem.status == RUNNING and "id" in problem.members:
                return request.redirect(f"/replays/{problem.members['id']}?done=same")
            errors = errors_of(problem, shown=FIELDS)
            return await _page(request, request.form, errors, status=problem.status)
        return request.redirect(f"/replays/{replay.id}")


async def _chosen(request: PageRequest) -> Preset | None:
    """The range that the URL names; None if it names none that the webhook has."""
    key = request.query.get("range")
    if key is None:
        return None
    webhook = await request.api("retrieveWebhook", request.object_id)
    pauses = (await request.api("listWebhookPauses", request.object_id)).pauses
    found = (each for each in presets(webhook, pauses, now=request.now) if each.key == key)
    return next(found, None)


async def _count(request: PageRequest) -> tuple[Any, dict[str, object]]:
    """Count the events of the fields in the URL; returns the body that would send them, too."""
    body = _body(request, request.query)
    return await request.api("createReplay", body={**body, "dryRun": True}), body


def _body(request: PageRequest, fields: Mapping[str, str]) -> dict[str, object]:
    """The body of the API's operation."""
    body: dict[str, object] = {
        "webhookId": str(request.object_id),
        "from": as_timestamp(fields.get("from", "")),
        "to": _end(fields.get("to", ""), now=request.now),
        "onlyUndelivered": fields.get("onlyUndelivered") == ON,
    }
    if types := fields.get("types", "").replace(",", " ").split():
        body["eventTypes"] = types
    return body


def _end(text: str, *, now: datetime) -> str:
    """The end of the range: now at the latest, so that nothing is added to what was counted."""
    try:
        given = parse_timestamp(as_timestamp(text)) if text else now
    except ValueError:
        return text  # the API says what is wrong with it
    return as_timestamp(_written(min(given, now)))


async def _page(
    request: PageRequest,
    values: Mapping[str, str],
    errors: FormErrors,
    *,
    counted: Any = None,
    body: Mapping[str, object] | None = None,
    status: int = 200,
) -> web.Response:
    webhook_id, before = request.object_id, request.query.get("before")
    webhook = await request.api("retrieveWebhook", webhook_id)
    query = {"limit": str(PER_PAGE), **({"before": before} if before else {})}
    listed = await request.api("listWebhookReplays", webhook_id, query=query)
    pauses = (await request.api("listWebhookPauses", webhook_id)).pauses
    return await request.page(
        "webhook_replays.html",
        status=status,
        webhook=webhook,
        tab="replays",
        replays=listed.replays,
        next=listed.next,
        presets=presets(webhook, pauses, now=request.now),
        values=values,
        errors=errors,
        counted=counted,
        body=body,
        types=[each.name for each in EVENT_TYPES],
    )


def presets(webhook: Any, pauses: list[Any], *, now: datetime) -> list[Preset]:
    """The ranges that people ask for: pauses, since the last success, the last day."""
    found = []
    for number, pause in enumerate([each for each in pauses if each.from_][:MOST_PAUSES]):
        name = "While it was paused" if pause.to else "Since it was paused"
        # The earlier ones differ by when they began.
        when = "" if number == 0 else f", {pause.from_:%b %d %H:%M:%S}"
        key = f"pause-{number}" if number else "pause"
        found.append(Preset(key, f"{name}{when}", pause.from_, pause.to or now))
    if webhook.last_success_at:
        found.append(Preset("success", "Since the last success", webhook.last_success_at, now))
    found.append(Preset("day", "Last 24 hours", now - timedelta(hours=24), now))
    return found


def range_fields(since: datetime, until: datetime) -> dict[str, str]:
    """The fields of the form, as a link's query has them."""
    return {"from": _written(since), "to": _written(_rounded_up(until))}


def _written(at: datetime) -> str:
    """A time as the field of a form has it: in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "")


def _rounded_up(at: datetime) -> datetime:
    """Fields have milliseconds: an event of the last one belongs to the range."""
    return at + MILLISECOND - timedelta(microseconds=1)
