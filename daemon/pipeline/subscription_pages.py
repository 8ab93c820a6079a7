"""
Subscriptions that are read and compiled a few at a time, and not kept.

The rule: however many webhooks a tenant has, and however large their filters are, no more of them
is in memory than a page, and no step of the event loop compiles more than one.
"""

import time
from collections.abc import AsyncIterator, Sequence

import structlog

from daemon.core.matching.compiler import UnusableFilter, compile_subscription
from daemon.core.matching.condition_index import Found
from daemon.core.matching.coverage import reason_for_no_match
from daemon.core.matching.matcher import Matcher
from daemon.core.model.events import Subscription
from daemon.core.model.ids import TenantId, WebhookId
from daemon.runtime.time_slice import TimeSlice
from daemon.store import subscriptions
from daemon.store.database import Database
from daemon.store.session import Connection

log = structlog.get_logger()

PAGE = 25  # a row may take more than 100 KiB

FAILED = UnusableFilter("event_filters: this cannot be used, because of a fault of ours.")


async def pages(
    database: Database,
    tenant_id: TenantId,
    ids: Sequence[WebhookId],
    time_slice: TimeSlice,
    *,
    paused_too: bool = False,
) -> AsyncIterator[Found]:
    """Yield the usable subscriptions of these webhooks of a tenant, page by page."""
    for start in range(0, len(ids), PAGE):
        found: Found = {}
        async with database.connection() as db:
            began = time.monotonic()
            page = ids[start : start + PAGE]
            rows = await subscriptions.by_id(db, page, most_bytes=subscriptions.ALONE) or ()
            # PostgreSQL takes some milliseconds for each large filter.
            await time_slice.rest_after(time.monotonic() - began)
            for each in rows:
                wanted = each.tenant_id == tenant_id and (each.is_active or paused_too)
                if wanted and (matcher := await matcher_of(db, each)):
                    found[each.webhook_id] = matcher
                await time_slice.yield_if_used()
        yield found


async def matcher_of(db: Connection, subscription: Subscription) -> Matcher | None:
    """
    Compile a subscription; None if no event can match it.

    The webhook's row then says why, and the log once: it stops no other webhook.
    """
    webhook_id = subscription.webhook_id
    try:
        matcher = compile_subscription(subscription.event_types, subscription.event_filters)
    except Exception:  # one customer's filter must not stop others' events
        log.exception("webhook.filter_failed", webhook_id=str(webhook_id))
        matcher = FAILED
    reason = reason_for_no_match(matcher)
    if reason != subscription.filter_error:
        await subscriptions.note_filter_error(db, webhook_id, reason)
        if reason is not None:
            unusable = isinstance(matcher, UnusableFilter)
            event = "webhook.filter_unusable" if unusable else "webhook.matches_nothing"
            log.warning(event, webhook_id=str(webhook_id), reason=reason)
    return None if isinstance(matcher, UnusableFilter) or reason is not None else matcher
