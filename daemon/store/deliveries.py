"""
New deliveries, as fan-out inserts them.

Deliveries are inserted by fan-out (here), leased by the dispatcher (`claims`) and given their
results by the result writer (`results`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.store.columns import columns
from daemon.store.session import Connection


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """The first attempt to deliver one event, of which the data print so long, to one webhook."""

    id: DeliveryId
    webhook_id: WebhookId
    tenant_id: TenantId
    event_id: EventId
    event_created_at: datetime
    payload_bytes: int


INSERT_FIRST_ATTEMPTS = """
    INSERT INTO webhook_deliveries
           (id, webhook_id, event_id, event_type, payload, payload_bytes, event_created_at)
    SELECT new.id, new.webhook_id, e.id, coalesce(e.event_type, ''),
           -- What is too large to be sent is not copied.
           CASE WHEN new.payload_bytes <= $6 THEN e.event_data END,
           new.payload_bytes, new.created_at
      FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::bigint[])
           AS new (id, webhook_id, event_id, created_at, payload_bytes)
      JOIN webhook_events AS e ON e.id = new.event_id
"""


async def insert(db: Connection, new: Sequence[NewDelivery], *, most_bytes: int) -> None:
    """
    Insert first attempts, due at the transaction's time; `new` must not be empty.

    Those of more than `most_bytes` get no payload: they are recorded, and never sent.
    """
    rows = [(d.id, d.webhook_id, d.event_id, d.event_created_at, d.payload_bytes) for d in new]
    await db.execute(INSERT_FIRST_ATTEMPTS, *columns(rows), most_bytes)
