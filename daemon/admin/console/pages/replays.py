"""Replays: those of a tenant, and how far one has come."""

from datetime import timedelta
from typing import Any

from aiohttp import web

from daemon.admin.console import times
from daemon.admin.console.page import PageRequest, page

PER_PAGE = 50
# How often a page asks again, in seconds: while it is sent, and while retries wait.
SENDING_SECONDS, WAITING_SECONDS = 1, 5


class ReplayPages:
    """The list, and one replay."""

    @page("GET /replays")
    async def list_page(self, request: PageRequest) -> web.StreamResponse:
        """The newest replays of all webhooks."""
        before = request.query.get("before")
        found = await request.api(
            "listReplays", query={"limit": str(PER_PAGE), **({"before": before} if before else {})}
        )
        return await request.page("replays.html", replays=found.replays, next=found.next)

    @page("GET /replays/{id}")
    async def replay(self, request: PageRequest) -> web.StreamResponse:
        """How far a replay has come, and what can be done about it."""
        replay = await request.api("retrieveReplay", request.object_id)
        return await request.page(
            "replay.html",
            replay=replay,
            webhook=await request.api("retrieveWebhook", replay.webhook_id),
            every=_every(replay),
            left=_left(replay, (request.now - replay.created_at)),
        )

    @page("POST /replays/{id}/cancel")
    async def cancel(self, request: PageRequest) -> web.StreamResponse:
        """Start no more of its attempts."""
        await request.api("cancelReplay", request.object_id)
        return request.redirect(f"/replays/{request.object_id}")

    @page("POST /replays/{id}/retry-failed", once=True)
    async def retry_failed(self, request: PageRequest) -> web.StreamResponse:
        """Send again what is exhausted, and show the replay that does."""
        started = await request.api("retryFailedOfReplay", request.object_id)
        if started.replay_id is None:
            return request.redirect(f"/replays/{request.object_id}?done=nothing")
        return request.redirect(f"/replays/{started.replay_id}")


def _every(replay: Any) -> int | None:
    """How often to ask again, in seconds; None when nothing more changes."""
    if replay.status == "running":
        return SENDING_SECONDS
    return WAITING_SECONDS if replay.waiting else None


def _left(replay: Any, age: timedelta) -> str | None:
    """How long the rest takes at the rate so far; None if that cannot be said."""
    if replay.status != "running" or replay.paused or not 0 < replay.sent < replay.total:
        return None
    return times.span(age * (replay.total - replay.sent) / replay.sent + timedelta(seconds=1))
