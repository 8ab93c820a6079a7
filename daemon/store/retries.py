"""
Manual retry and probe: one delivery attempted again, now, because a person asked.

The rule: an event has at most one pending attempt at a webhook, so a second request gets the
attempt of the first. Where none is pending, the retry begins a chain of its own.
"""

from dataclasses import dataclass, field
from uuid import UUID

from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.store import notification_queue, retry_lock
from daemon.store.attempt_chains import NEXT_ATTEMPT_NUMBER, SAME_PENDING
from daemon.store.delivery_ids import new_delivery_id
from daemon.store.session import Connection


@dataclass(frozen=True, slots=True)
class RetryDue:
    """
    The attempt that is now due, or already in flight.

    For a new one, `copied_bytes` of data were copied, as PostgreSQL stores them.
    """

    delivery_id: DeliveryId
    webhook_id: WebhookId
    copied_bytes: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class NothingPending:
    """No attempt of the webhook is pending."""


@dataclass(frozen=True, slots=True)
class WebhookPaused:
    """The webhook is paused: nothing is sent to it until it is resumed, and nothing was changed."""

    webhook_id: WebhookId


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The body was larger than may be sent, so it cannot be sent again; nothing was changed."""


@dataclass(frozen=True, slots=True)
class TooOften:
    """The event was attempted too often at this webhook; nothing was changed."""


FIND_DELIVERY = """
    -- The webhook is locked first: its deletion locks it before its deliveries.
    SELECT w.id, w.is_active, d.event_id, d.too_large
      FROM webhook_deliveries AS d
      JOIN webhooks AS w ON w.id = d.webhook_id
     WHERE d.id = $1 AND ($2::uuid IS NULL OR w.tenant_id = $2)
       FOR KEY SHARE OF w
"""

FIND_WEBHOOK_OF = """
    SELECT w.id
      FROM webhook_deliveries AS d
      JOIN webhooks AS w ON w.id = d.webhook_id
     WHERE d.id = $1 AND ($2::uuid IS NULL OR w.tenant_id = $2)
"""


async def webhook_of(
    db: Connection, tenant_id: TenantId | None, delivery_id: DeliveryId
) -> WebhookId | None:
    """The webhook of a delivery; None if the tenant has no such delivery."""
    found = await db.fetchval(FIND_WEBHOOK_OF, delivery_id, tenant_id)
    return None if found is None else WebhookId(found)


FIND_EVENT_AND_WEBHOOK = "SELECT event_id, webhook_id FROM webhook_deliveries WHERE id = $1"


async def event_and_webhook_of(
    db: Connection, delivery_id: DeliveryId
) -> tuple[EventId, WebhookId] | None:
    """The event and the webhook of a delivery of any tenant; None if there is no such delivery."""
    found = await db.fetchrow(FIND_EVENT_AND_WEBHOOK, delivery_id)
    return None if found is None else (EventId(found["event_id"]), WebhookId(found["webhook_id"]))


FIND_PENDING = """
    -- MATERIALIZED, or the planner may read all pending attempts of the webhook.
    WITH chain AS MATERIALIZED (
        SELECT id, status, next_retry_at, leased_until
          FROM webhook_deliveries
         -- A range of keys, as in `store.attempt_chains`.
         WHERE (event_id, webhook_id) >= ($1, $2) AND (event_id, webhook_id) <= ($1, $2)
    )
    SELECT id, leased_until >= now() AS in_flight
      FROM chain
     WHERE status::text = 'pending_retry'
     ORDER BY next_retry_at
     LIMIT 1
"""

BRING_FORWARD = f"""
    -- It no longer belongs to a replay: the cancellation of that one would delete it.
    UPDATE webhook_deliveries AS d
       SET next_retry_at = least(next_retry_at, now()), replay_id = NULL, brought_forward = NULL
     WHERE {SAME_PENDING.format(row="d", id="$1")}
       AND webhook_id IS NOT DISTINCT FROM $2
       AND (leased_until IS NULL OR leased_until < now())
"""  # noqa: S608  made of constants only

INSERT_ATTEMPT = f"""
    WITH new AS MATERIALIZED (
        SELECT d.webhook_id, d.event_id, d.event_type, d.payload, d.payload_bytes,
               d.event_created_at, {NEXT_ATTEMPT_NUMBER} AS number
          FROM webhook_deliveries AS d
         WHERE d.id = $1
           AND d.webhook_id IS NOT DISTINCT FROM $3 AND d.event_id IS NOT DISTINCT FROM $4
         LIMIT 1
           -- An erasure of the delivery waits, and then sees the new attempt.
           FOR KEY SHARE OF d
    )
    INSERT INTO webhook_deliveries
           (id, webhook_id, event_id, event_type, payload, payload_bytes, event_created_at,
            attempt_number, chain_start)
    SELECT $2, webhook_id, event_id, event_type, payload, payload_bytes, event_created_at,
           number, number
      FROM new
 RETURNING coalesce(pg_catalog.pg_column_size(payload), 0)
"""  # noqa: S608  made of constants only

# Of one event at one webhook: each look at an attempt shows those beside it.
MAX_ATTEMPTS = 1000

COUNT_ATTEMPTS = """
    SELECT count(*)
      FROM (SELECT 1 FROM webhook_deliveries
             WHERE (event_id, webhook_id) >= ($1, $2) AND (event_id, webhook_id) <= ($1, $2)
             LIMIT $3) AS attempt
"""

MAX_REQUESTED = 100  # of one endpoint; beyond it, attempts wait for their turn

REQUEST_ATTEMPT = """
    -- Only while attempts are spaced out: otherwise it is due, and that is enough.
    UPDATE webhooks
       SET requested_attempts = pg_catalog.array_append(requested_attempts, $2::uuid)
     WHERE id = $1 AND is_failing AND next_probe_at IS NOT NULL
       AND coalesce(pg_catalog.cardinality(requested_attempts), 0) < $3
       AND NOT coalesce($2 = ANY (requested_attempts), false)
"""


async def retry_now(
    db: Connection, tenant_id: TenantId | None, delivery_id: DeliveryId
) -> RetryDue | WebhookPaused | TooLarge | TooOften | None:
    """
    Attempt a delivery again, now; call in a transaction.

    A pending attempt of the same event is brought forward; otherwise a new chain begins, with the
    same event id and body. A `tenant_id` of None stands for any tenant. Returns None if
    the tenant has no such delivery.
    """
    found = await db.fetchrow(FIND_DELIVERY, delivery_id, tenant_id)
    if found is None:
        return None
    webhook_id = WebhookId(found["id"])
    if found["too_large"]:
        return TooLarge()
    if not found["is_active"]:
        return WebhookPaused(webhook_id)
    await retry_lock.lock(db, webhook_id)
    due = await _bring_forward(db, found["event_id"], webhook_id)
    copied_bytes = 0
    if due is None:
        chain = found["event_id"], webhook_id
        if await db.fetchval(COUNT_ATTEMPTS, *chain, MAX_ATTEMPTS) == MAX_ATTEMPTS:
            return TooOften()
        due = new_delivery_id()
        attempt_of = (delivery_id, due, webhook_id, found["event_id"])
        copied_bytes = await db.fetchval(INSERT_ATTEMPT, *attempt_of)
        if copied_bytes is None:
            return None  # it has just been deleted
    await _request(db, webhook_id, due)
    return RetryDue(due, webhook_id, copied_bytes)


FIND_WEBHOOK = """
    SELECT is_active FROM webhooks WHERE id = $1 AND tenant_id = $2 FOR KEY SHARE
"""

FIND_OLDEST_PENDING = """
    SELECT id, leased_until >= now() AS in_flight
      FROM webhook_deliveries
     WHERE webhook_id = $1 AND status::text = 'pending_retry'
     ORDER BY next_retry_at
     LIMIT 1
"""


async def probe_now(
    db: Connection, tenant_id: TenantId, webhook_id: WebhookId
) -> RetryDue | NothingPending | WebhookPaused | None:
    """
    Make the oldest pending attempt of a webhook now; call in a transaction.

    Returns None if the tenant has no such webhook.
    """
    is_active = await db.fetchval(FIND_WEBHOOK, webhook_id, tenant_id)
    if is_active is None:
        return None
    if not is_active:
        return WebhookPaused(webhook_id)
    # Its result may be stored between the two statements: then another one is the oldest, or none.
    while (found := await db.fetchrow(FIND_OLDEST_PENDING, webhook_id)) is not None:
        pending = found["id"], webhook_id
        if found["in_flight"] or await db.execute(BRING_FORWARD, *pending) == "UPDATE 1":
            await _request(db, webhook_id, DeliveryId(found["id"]))
            return RetryDue(DeliveryId(found["id"]), webhook_id)
    return NothingPending()


async def _request(db: Connection, webhook_id: WebhookId, attempt: DeliveryId) -> None:
    """Have a pending attempt made at once, although its endpoint may be failing."""
    await db.execute(REQUEST_ATTEMPT, webhook_id, attempt, MAX_REQUESTED)
    await notification_queue.notify_due(db, [webhook_id])


async def _bring_forward(
    db: Connection, event_id: UUID, webhook_id: WebhookId
) -> DeliveryId | None:
    """Return the pending attempt, now due or in flight; None if there is none."""
    # Its result may be stored between the two statements: then another one is pending, or none.
    while (found := await db.fetchrow(FIND_PENDING, event_id, webhook_id)) is not None:
        pending = found["id"], webhook_id
        if found["in_flight"] or await db.execute(BRING_FORWARD, *pending) == "UPDATE 1":
            return DeliveryId(found["id"])
    return None
