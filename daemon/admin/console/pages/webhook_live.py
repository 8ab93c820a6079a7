"""
The live list of a webhook's deliveries: what has changed, as server-sent events.

A stream ends with its session, its webhook and the daemon. It takes no turn of its caller, and no
connection of the database while nothing is read.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiohttp import web

from daemon.admin.api.loop_time import END_TURN
from daemon.admin.api.problems import Problem
from daemon.admin.console.form_times import as_timestamp
from daemon.admin.console.live_feed import LiveFeed, Watcher
from daemon.admin.console.live_view import LiveFilter, LiveView, read_tags
from daemon.admin.console.page import PageRequest, page
from daemon.admin.console.sessions import Sessions
from daemon.admin.schemas.timestamps import parse_timestamp
from daemon.core.errors import WebhookdError
from daemon.core.model.ids import WebhookId

HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would keep the events back
}
BEGIN = b"retry: 2000\n\n"
STILL_OPEN = b":\n\n"
END = b"event: end\ndata:\n\n"
STILL_OPEN_SECONDS = 15.0
CHECK_SECONDS = 10.0
BEFORE_THE_PAGE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class LiveDeliveries:
    """The stream."""

    feed: LiveFeed
    sessions: Sessions

    @page("GET /webhooks/{id}/live", document=False)
    async def stream(self, request: PageRequest) -> web.StreamResponse:
        """Send `new` with the number of new events, and `changed` with the ids of others."""
        webhook = await request.api("retrieveWebhook", request.object_id)
        watcher = Watcher(
            WebhookId(webhook.id),
            request.session.signed.load_key,
            request.session.signed.id,
            _view(request),
        )
        async with self.feed.watch(watcher):
            response = web.StreamResponse(headers=HEADERS)
            with suppress(ConnectionError):
                await response.prepare(request.http)
                await response.write(BEGIN)
                request.http[END_TURN]()
                await self._send(response, watcher, request)
            return response

    async def _send(
        self, response: web.StreamResponse, watcher: Watcher, request: PageRequest
    ) -> None:
        checked_at = time.monotonic()
        while not watcher.ended:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(STILL_OPEN_SECONDS, CHECK_SECONDS)):
                    await watcher.news.wait()
            if time.monotonic() - checked_at >= CHECK_SECONDS:
                checked_at = time.monotonic()
                if not await self._may_go_on(request):
                    await response.write(END)
                    return
            await response.write(_events(watcher) or STILL_OPEN)

    async def _may_go_on(self, request: PageRequest) -> bool:
        """Whether the session is still valid, and still sees the webhook."""
        try:
            if await self.sessions.find(request.http) is None:
                return False
            await request.api("retrieveWebhook", request.object_id)
        except Problem:
            return False
        except WebhookdError:  # the database is away: asked again soon
            return True
        return True


def _events(watcher: Watcher) -> bytes:
    watcher.news.clear()
    if watcher.ended:
        return b"" if watcher.may_return else END
    changed, watcher.changed = watcher.changed, []
    text = f"event: new\ndata: {len(watcher.view.new)}\n\n"
    if changed:
        text += f"event: changed\ndata: {' '.join(each.hex for each in changed)}\n\n"
    return text.encode()


def _view(request: PageRequest) -> LiveView:
    """Raises Problem (422) for a time that is none."""
    query = request.query
    return LiveView(
        read_tags(query.get("shown", "")),
        LiveFilter(
            query.get("type"), query.get("status"), _time(query.get("from")), _time(query.get("to"))
        ),
        _time(query.get("begins")) or request.now - BEFORE_THE_PAGE,
    )


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_timestamp(as_timestamp(text))
    except ValueError as error:
        raise Problem(422, f"the time {text} {error}") from None
