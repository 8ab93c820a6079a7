"""
Stored facts of one event at one webhook: the event, its attempts, and whether it still waits.

Every statement names the tenant: other tenants' rows are not found.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson

from daemon.core.model.explanations import ChainAttempt, ExplainedEvent, Kept, Waiting
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.store.payload_size import within_seconds
from daemon.store.session import Connection

MOST_ATTEMPTS = 200
INBOX_SECONDS = 1
NIL = UUID(int=0)
TOO_LONG = object()

GET_EVENT = """
    SELECT coalesce(event_type, '') AS event_type, coalesce(received_at, created_at) AS at
      FROM webhook_events
     WHERE id = $1 AND tenant_id = $2
"""


async def get(db: Connection, tenant_id: TenantId, event_id: EventId) -> ExplainedEvent | None:
    """Return an event; None if the tenant has none of this id."""
    row = await db.fetchrow(GET_EVENT, event_id, tenant_id)
    return (
        None if row is None else ExplainedEvent(event_id, tenant_id, row["event_type"], row["at"])
    )


FIND_TENANT = "SELECT tenant_id FROM webhook_events WHERE id = $1"


async def tenant_of(db: Connection, event_id: EventId) -> TenantId | None:
    """The tenant of an event; None if there is no such event."""
    found = await db.fetchval(FIND_TENANT, event_id)
    return None if found is None else TenantId(found)


LIST_ATTEMPTS = """
    -- A range of keys, as in `store.attempt_chains`; LATERAL, or the planner may start parallel
    -- workers for it. What decides comes first: the application may have written many rows.
    SELECT found.*
      FROM pg_catalog.unnest($2::uuid[]) AS asked (webhook_id)
     CROSS JOIN LATERAL (
            SELECT d.webhook_id, d.id, coalesce(d.status, '') AS status, d.attempt_number,
                   d.attempted_at, d.next_retry_at, d.too_large,
                   left(d.error_message, 500) AS error,
                   coalesce(d.leased_until >= now(), false) AS in_flight
              FROM webhook_deliveries AS d
             WHERE (d.event_id, d.webhook_id) >= ($1, asked.webhook_id)
               AND (d.event_id, d.webhook_id) <= ($1, asked.webhook_id)
             ORDER BY d.status::text IS NOT DISTINCT FROM 'success' DESC,
                      d.status::text IS NOT DISTINCT FROM 'pending_retry' DESC,
                      d.attempted_at DESC NULLS LAST, d.id DESC
             LIMIT $3) AS found
"""


async def attempts(
    db: Connection, event_id: EventId, webhook_ids: Sequence[WebhookId]
) -> dict[WebhookId, list[ChainAttempt]]:
    """
    Return the attempts at webhooks, whose tenant the caller has checked.

    Those of each: successes, pending ones, and others, each from the latest to the first.
    """
    found: dict[WebhookId, list[ChainAttempt]] = {each: [] for each in webhook_ids}
    for row in await db.fetch(LIST_ATTEMPTS, event_id, webhook_ids, MOST_ATTEMPTS):
        found[row["webhook_id"]].append(_attempt(row))
    return found


def _attempt(row: Any) -> ChainAttempt:
    return ChainAttempt(
        id=DeliveryId(row["id"]),
        status=row["status"],
        number=row["attempt_number"],
        at=row["attempted_at"],
        due_at=row["next_retry_at"],
        in_flight=row["in_flight"],
        too_large=row["too_large"],
        error=row["error"],
    )


FIND_WAITING = """
    -- Events are not in the inbox for long, so it is short. If it is not, time is limited.
    SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(event_id, leases > 0))
      FROM (SELECT event_id, leases
              FROM webhook_event_inbox
             WHERE event_id = ANY ($1::uuid[]) AND tenant_id = $2
               AND webhook_id = ANY (ARRAY['00000000-0000-0000-0000-000000000000', $3::uuid])
             LIMIT 1000) AS found
"""


async def waiting(
    db: Connection, tenant_id: TenantId, webhook_id: WebhookId, events: Sequence[EventId]
) -> dict[EventId, Waiting]:
    """
    Return which of these events are in the inbox for this webhook, or may be.

    A second at most: if the inbox is too long to be searched in it, any of them may be.
    """
    if not events:
        return {}
    found = await within_seconds(
        *(db, INBOX_SECONDS, FIND_WAITING, events, tenant_id, webhook_id), otherwise=TOO_LONG
    )
    if found is TOO_LONG:
        return dict.fromkeys(events, Waiting.UNKNOWN)
    rows = orjson.loads(found or "[]")
    return {
        EventId(UUID(each)): Waiting.TAKEN if taken else Waiting.NOT_TAKEN for each, taken in rows
    }


FIND_WAITING_AT = """
    -- As FIND_WAITING, by webhook. The nil one stands for all of them.
    SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(webhook_id, leases > 0))
      FROM (SELECT webhook_id, leases
              FROM webhook_event_inbox
             WHERE event_id = $1 AND tenant_id = $2 AND webhook_id = ANY ($3::uuid[])
             LIMIT 1000) AS found
"""


async def waiting_at(
    db: Connection, tenant_id: TenantId, event_id: EventId, webhooks: Sequence[WebhookId]
) -> dict[WebhookId, Waiting]:
    """Return for which of these webhooks an event is in the inbox, or may be; as `waiting`."""
    asked = [NIL, *webhooks]
    found = await within_seconds(
        *(db, INBOX_SECONDS, FIND_WAITING_AT, event_id, tenant_id, asked), otherwise=TOO_LONG
    )
    if found is TOO_LONG:
        return dict.fromkeys(webhooks, Waiting.UNKNOWN)
    rows = {UUID(each): taken for each, taken in orjson.loads(found or "[]")}
    states = {each: rows.get(each, rows.get(NIL)) for each in webhooks}
    return {
        each: Waiting.TAKEN if taken else Waiting.NOT_TAKEN
        for each, taken in states.items()
        if taken is not None
    }


NOW = "SELECT now()"


async def kept(db: Connection, *, deliveries: timedelta, events: timedelta) -> Kept:
    """The database's time with the ages at which rows expire."""
    return Kept(await db.fetchval(NOW), deliveries, events)
