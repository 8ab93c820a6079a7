"""
Which webhooks want an event, by the indexed subscriptions of its tenant.

A filter whose evaluation fails is noted on its webhook; it stops no other webhook.
"""

import structlog

from daemon.core.matching.condition_index import Found
from daemon.core.matching.event_data import EventData
from daemon.core.matching.index import SubscriptionIndex
from daemon.core.matching.matcher import Matcher
from daemon.core.model.events import Event
from daemon.core.model.ids import WebhookId
from daemon.pipeline.subscription_pages import FAILED
from daemon.runtime.time_slice import TimeSlice
from daemon.store import subscriptions
from daemon.store.database import Database

log = structlog.get_logger()


class EventMatcher:
    """Asks the matchers that an index names."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def subscribers_of(
        self, event: Event, data: object, index: SubscriptionIndex, *, time_slice: TimeSlice
    ) -> list[WebhookId]:
        """
        Return the webhooks that want an event, in the order of their ids.

        `data` is as `parse_json` returns it; it matters only if `index.needs_data` says so.
        """
        found: Found = {}
        await time_slice.run(index.search(event.type, data, found))
        return await self.subscribers_among(found, event, EventData(data), time_slice=time_slice)

    async def subscribers_among(
        self, matchers: Found, event: Event, data: EventData, *, time_slice: TimeSlice
    ) -> list[WebhookId]:
        """Ask each of these matchers; return the webhooks in the order of their ids."""
        wanted: list[WebhookId] = []
        for webhook_id, matcher in matchers.items():
            if event.only is not None and webhook_id != event.only:
                continue
            if await self._matches(webhook_id, matcher, event.type, data, time_slice):
                wanted.append(webhook_id)
        await time_slice.yield_if_used()
        return sorted(wanted)

    async def _matches(
        self,
        webhook_id: WebhookId,
        matcher: Matcher,
        event_type: str,
        data: EventData,
        time_slice: TimeSlice,
    ) -> bool:
        try:
            return matcher.matches_type(event_type) and await time_slice.run(matcher.decide(data))
        except Exception:  # one customer's filter must not stop others' events
            log.exception("webhook.filter_failed", webhook_id=str(webhook_id))
            await self._note_failure(webhook_id)
            return False
        finally:
            await time_slice.yield_if_used()

    async def _note_failure(self, webhook_id: WebhookId) -> None:
        async with self._database.connection() as db:
            await subscriptions.note_filter_error(db, webhook_id, FAILED.reason)
