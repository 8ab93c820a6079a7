"""
Events that were leased before: what they still owe, so that nothing is lost and little repeated.

A daemon that was killed, or lost its leases, may have sent them already. The rule: only webhooks
without a delivery get one, also those that wanted the event when it came and were paused since.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from daemon.core.matching.index import SubscriptionIndex
from daemon.core.matching.matcher import Matcher
from daemon.core.model.ids import EventId, TenantId, WebhookId
from daemon.pipeline.subscription_cache import matcher_of
from daemon.store import deliveries, subscriptions
from daemon.store.database import Database
from daemon.store.event_inbox import LeasedEvent


@dataclass(frozen=True, slots=True)
class Paused:
    """A usable subscription of a webhook that is paused."""

    webhook_id: WebhookId
    paused_at: datetime
    matcher: Matcher


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The webhooks that have deliveries, by event, and those that were paused, by tenant."""

    served: dict[EventId, set[WebhookId]] = field(default_factory=dict)
    paused: dict[TenantId, list[Paused]] = field(default_factory=dict)

    def paused_since(self, leased: LeasedEvent) -> SubscriptionIndex:
        """Index the subscriptions of webhooks that were paused after this event came."""
        index = SubscriptionIndex()
        for each in self.paused.get(leased.event.tenant_id, ()):
            if leased.arrived_at is not None and each.paused_at > leased.arrived_at:
                index.put(each.webhook_id, each.matcher)
        return index


async def interrupted_among(database: Database, leased: Sequence[LeasedEvent]) -> Interrupted:
    """Find out what those of the events that were leased before still owe."""
    again = [each for each in leased if each.again]
    if not again:
        return Interrupted()
    oldest: dict[TenantId, datetime] = {}
    for each in again:
        if each.arrived_at is not None:
            first = oldest.get(each.event.tenant_id, each.arrived_at)
            oldest[each.event.tenant_id] = min(first, each.arrived_at)
    paused: dict[TenantId, list[Paused]] = defaultdict(list)
    async with database.connection() as db:
        served = await deliveries.served(db, [each.event.id for each in again])
        for subscription, paused_at in await subscriptions.paused_since(db, oldest):
            if matcher := await matcher_of(db, subscription):
                paused[subscription.tenant_id].append(
                    Paused(subscription.webhook_id, paused_at, matcher)
                )
    return Interrupted(served, paused)
