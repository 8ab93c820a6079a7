"""
Which webhooks want which events, by their subscriptions as they stand in the database.

A filter that cannot be used matches nothing and is noted on its webhook; it stops no other webhook.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import structlog

from daemon.core.matching.compiler import UnusableFilter, compile_subscription
from daemon.core.matching.index import Subscribers, SubscriptionIndex
from daemon.core.matching.matcher import Matcher
from daemon.core.model.events import Event, Subscription
from daemon.core.model.ids import EventId, TenantId, WebhookId
from daemon.core.wire.json_value import parse_json
from daemon.runtime.time_slice import TimeSlice
from daemon.runtime.uuid7 import new_delivery_id
from daemon.store import stored_events, subscriptions
from daemon.store.deliveries import NewDelivery
from daemon.store.session import Connection

log = structlog.get_logger()

DATA_READ_AT_ONCE = 50  # an event may hold megabytes

FAILED = UnusableFilter("event_filters: this cannot be used, because of a fault of ours.")

Indexes = Mapping[TenantId, SubscriptionIndex]


async def match_events(db: Connection, events: Sequence[Event]) -> list[NewDelivery]:
    """One new delivery for each of these events and each webhook that wants it."""
    time_slice = TimeSlice()
    tenants = list({event.tenant_id for event in events})
    indexes = await _compile(db, tenants, time_slice)
    wanted: list[NewDelivery] = []
    for start in range(0, len(events), DATA_READ_AT_ONCE):
        page = events[start : start + DATA_READ_AT_ONCE]
        wanted += await _match_page(db, page, indexes, time_slice)
    return wanted


async def _compile(db: Connection, tenants: Sequence[TenantId], time_slice: TimeSlice) -> Indexes:
    indexes: dict[TenantId, SubscriptionIndex] = defaultdict(SubscriptionIndex)
    for subscription in await subscriptions.subscriptions(db, tenants):
        matcher = await _matcher_of(db, subscription)
        if matcher is not None:
            indexes[subscription.tenant_id].add(subscription.webhook_id, matcher)
        await time_slice.yield_if_used()
    return indexes


async def _matcher_of(db: Connection, subscription: Subscription) -> Matcher | None:
    """The subscription, compiled; None if it cannot be used, which its webhook's row then says."""
    webhook_id = subscription.webhook_id
    try:
        matcher = compile_subscription(subscription.event_types, subscription.event_filters)
    except Exception:  # one customer's filter must stop nobody else's events
        log.exception("webhook.filter_failed", webhook_id=str(webhook_id))
        matcher = FAILED
    reason = matcher.reason if isinstance(matcher, UnusableFilter) else None
    if reason != subscription.filter_error:
        await subscriptions.note_filter_error(db, webhook_id, reason)
        if reason is not None:
            log.warning("webhook.filter_unusable", webhook_id=str(webhook_id), reason=reason)
    return None if isinstance(matcher, UnusableFilter) else matcher


async def _match_page(
    db: Connection, events: Sequence[Event], indexes: Indexes, time_slice: TimeSlice
) -> list[NewDelivery]:
    data = await _data_where_needed(db, events, indexes, time_slice)
    wanted: list[NewDelivery] = []
    for event in events:
        subscribers = indexes[event.tenant_id].subscribers_of(event.type)
        wanted += [
            NewDelivery(new_delivery_id(), webhook_id, event.id, event.created_at)
            for webhook_id in await _matching(db, subscribers, data.get(event.id), time_slice)
            if event.only is None or event.only == webhook_id
        ]
    await time_slice.yield_if_used()
    return wanted


async def _matching(
    db: Connection, subscribers: Subscribers, data: object, time_slice: TimeSlice
) -> list[WebhookId]:
    """The subscribers that want an event with this data, as `parse_json` reads it."""
    matching = list(subscribers.unconditional)
    for webhook_id, matcher in subscribers.conditional:
        try:
            if matcher.matches_data(data):
                matching.append(webhook_id)
        except Exception:  # one customer's filter, as above
            log.exception("webhook.filter_failed", webhook_id=str(webhook_id))
            await subscriptions.note_filter_error(db, webhook_id, FAILED.reason)
        await time_slice.yield_if_used()
    return matching


async def _data_where_needed(
    db: Connection, events: Sequence[Event], indexes: Indexes, time_slice: TimeSlice
) -> dict[EventId, object]:
    """The data of those events that some subscriber filters by data."""
    needed = [e.id for e in events if indexes[e.tenant_id].subscribers_of(e.type).needs_data]
    if not needed:
        return {}
    data: dict[EventId, object] = {}
    for event_id, text in (await stored_events.data_of(db, needed)).items():
        data[event_id] = parse_json(text)
        await time_slice.yield_if_used()
    return data
