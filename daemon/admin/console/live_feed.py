"""
The attempts of webhooks whose lists are open, read once a second for all lists of a webhook.

The rule: watching costs a bounded part of the daemon. Readings take turns, so that they use one
connection of the database at most, and there are few watchers of a session, a caller and in all.
Once there are no more places, the caller with the most gives one up to another that has fewer.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from aiohttp import web

from daemon.admin.api.problems import RETRY_SOON, Problem
from daemon.core.errors import WebhookdError
from daemon.core.model.ids import EventId, WebhookId
from daemon.store import live_deliveries
from daemon.store.database import Database

if TYPE_CHECKING:
    from daemon.admin.console.live_view import LiveView

log = structlog.get_logger()

MOST_OF_SESSION = 4
MOST_OF_CALLER = 16
MOST_IN_ALL = 64
MOST_WATCHED = 200  # events of one webhook
INTERVAL_SECONDS = 1.0
FAILURE_SECONDS = 5.0


@dataclass(eq=False, slots=True)
class Watcher:
    """
    An open list: `changed` rows and the number of new events have not been sent yet.

    One that `ended` is not read for any more; it `may_return` to the next daemon.
    """

    webhook_id: WebhookId
    caller: str
    session_id: UUID
    view: "LiveView"
    changed: list[EventId] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False
    may_return: bool = False

    def see(self, attempts: list[live_deliveries.RecentAttempt]) -> None:
        """Compare what is shown with the present attempts."""
        before = len(self.view.new)
        self.changed += self.view.see(attempts)
        if self.changed or len(self.view.new) > before:
            self.news.set()

    def end(self, *, may_return: bool) -> None:
        """Have the response end."""
        self.ended, self.may_return = True, may_return
        self.news.set()


class LiveFeed:
    """Reads for all watchers of this daemon."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watchers: list[Watcher] = []  # in the order in which they came
        self._tasks: dict[WebhookId, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(1)

    @asynccontextmanager
    async def watch(self, watcher: Watcher) -> AsyncIterator[None]:
        """
        Keep a watcher informed. Raises Problem (429) when there are too many.

        Of one session, the one that came first ends.
        """
        own = [each for each in self._watchers if each.session_id == watcher.session_id]
        if len(own) >= MOST_OF_SESSION:
            self._end(own[0], may_return=False)
        self._make_room(watcher.caller)
        self._watchers.append(watcher)
        webhook_id = watcher.webhook_id
        if webhook_id not in self._tasks:
            self._tasks[webhook_id] = asyncio.create_task(self._read(webhook_id))
        try:
            yield
        finally:
            if watcher in self._watchers:
                self._watchers.remove(watcher)
            if not self._of(webhook_id) and (task := self._tasks.pop(webhook_id, None)):
                task.cancel()

    def _make_room(self, caller: str) -> None:
        """Raises Problem (429) if the caller has its share."""
        counts = Counter(each.caller for each in self._watchers)
        own = counts[caller]
        if own < MOST_OF_CALLER and len(self._watchers) < MOST_IN_ALL:
            return
        greatest, count = max(counts.items(), key=itemgetter(1))
        # With a difference of one, the two would take the place from each other for ever.
        if own >= MOST_OF_CALLER or count < own + 2:
            raise Problem(429, "too many lists are live: try again later", headers=RETRY_SOON)
        # The page shows that its list is not live any more, and asks for another place.
        oldest = next(each for each in self._watchers if each.caller == greatest)
        self._end(oldest, may_return=True)

    def _end(self, watcher: Watcher, *, may_return: bool) -> None:
        watcher.end(may_return=may_return)
        self._watchers.remove(watcher)

    async def close(self, _: web.Application) -> None:
        """End every response, because the daemon stops."""
        for each in self._watchers:
            each.end(may_return=True)

    def _of(self, webhook_id: WebhookId) -> list[Watcher]:
        return [each for each in self._watchers if each.webhook_id == webhook_id]

    async def _read(self, webhook_id: WebhookId) -> None:
        while True:
            try:
                await self._read_once(webhook_id)
                wait = INTERVAL_SECONDS
            except WebhookdError as error:  # the database is away, or busy
                log.debug("console.live_not_read", reason=str(error))
                wait = FAILURE_SECONDS
            except Exception:
                log.exception("console.live_failed")
                wait = FAILURE_SECONDS
            await asyncio.sleep(wait)

    async def _read_once(self, webhook_id: WebhookId) -> None:
        watchers = self._of(webhook_id)
        if not watchers:
            return
        watched = {event: None for each in watchers for event in each.view.watched}
        async with self._turn, self._database.connection() as db:
            attempts = await live_deliveries.recent(
                db,
                webhook_id,
                since=min(each.view.begins for each in watchers),
                watched=list(watched)[:MOST_WATCHED],
            )
        for each in watchers:
            each.see(attempts)
