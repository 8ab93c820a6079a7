"""
Events that were leased before: what they still owe, so that nothing is lost and little repeated.

A daemon that was killed, or lost its leases, may have sent them already. The rule: only webhooks
without a delivery get one, also those that wanted the event when it came and were paused since.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from daemon.core.matching.condition_index import Found
from daemon.core.matching.matcher import Matcher
from daemon.core.model.ids import EventId, TenantId, WebhookId
from daemon.pipeline.delivery_inserter import MatchedEvent
from daemon.pipeline.subscription_cache import FEW
from daemon.pipeline.subscription_pages import matcher_of, pages
from daemon.runtime.metrics import Metrics
from daemon.runtime.time_slice import TimeSlice
from daemon.store import deliveries
from daemon.store.database import Database
from daemon.store.leased_events import LeasedEvent
from daemon.store.subscriptions import BESIDE_OTHERS, paused_ids, paused_since

MOST = 1000  # webhooks of a tenant that were paused since
PAIRS_AT_ONCE = 1000  # of an event and a webhook


@dataclass(frozen=True, slots=True)
class Paused:
    """A usable subscription of a webhook that is paused."""

    webhook_id: WebhookId
    paused_at: datetime
    matcher: Matcher


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Webhooks that were paused, by tenant; of the tenants that `take_long` they were not read."""

    paused: dict[TenantId, list[Paused]] = field(default_factory=dict)
    take_long: set[TenantId] = field(default_factory=set)

    def paused_since(self, leased: LeasedEvent) -> Found:
        """The subscriptions of webhooks that were paused after this event came."""
        return {
            each.webhook_id: each.matcher
            for each in self.paused.get(leased.event.tenant_id, ())
            if leased.arrived_at is not None and each.paused_at > leased.arrived_at
        }


async def interrupted_among(database: Database, leased: Sequence[LeasedEvent]) -> Interrupted:
    """Find who may still be owed those of the events that were leased before."""
    oldest: dict[TenantId, datetime] = {}
    for each in leased:
        if each.again and each.arrived_at is not None:
            first = oldest.get(each.event.tenant_id, each.arrived_at)
            oldest[each.event.tenant_id] = min(first, each.arrived_at)
    if not oldest:
        return Interrupted()
    paused: dict[TenantId, list[Paused]] = defaultdict(list)
    time_slice = TimeSlice()
    async with database.connection() as db:
        found, take_long = await paused_since(db, oldest, limit=FEW + 1, most_bytes=BESIDE_OTHERS)
        for subscription, paused_at in found:
            if matcher := await matcher_of(db, subscription):
                paused[subscription.tenant_id].append(
                    Paused(subscription.webhook_id, paused_at, matcher)
                )
            await time_slice.yield_if_used()
    take_long |= {each for each, several in paused.items() if len(several) > FEW}
    return Interrupted(paused, take_long)


async def paused_pages(
    database: Database, leased: LeasedEvent, time_slice: TimeSlice
) -> AsyncIterator[Found]:
    """Find who may still be owed an event that was leased before, however many they are."""
    if leased.arrived_at is None:
        return
    tenant_id = leased.event.tenant_id
    async with database.connection() as db:
        ids = await paused_ids(db, tenant_id, leased.arrived_at, limit=MOST)
    async for page in pages(database, tenant_id, ids, time_slice, paused_too=True):
        yield page


async def without_served(
    database: Database, matched: Sequence[MatchedEvent], metrics: Metrics
) -> list[MatchedEvent]:
    """Leave out the webhooks that have a delivery already, of events that were leased before."""
    pairs = [
        (each.leased.event.id, webhook_id)
        for each in matched
        if each.leased.again
        for webhook_id in each.webhooks
    ]
    served: set[tuple[EventId, WebhookId]] = set()
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        async with database.connection() as db:
            served |= await deliveries.served(db, pairs[start : start + PAIRS_AT_ONCE])
    if not served:
        return list(matched)
    metrics.attempts.duplicates_avoided["made_before"].inc(len(served))
    return [
        replace(
            each, webhooks=[w for w in each.webhooks if (each.leased.event.id, w) not in served]
        )
        for each in matched
    ]
