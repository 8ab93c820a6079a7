"""
Attempts: made by fan-out, leased by a worker, settled with what came of them.

A lease is a time in the row, never a transaction held across HTTP. It leaves `next_retry_at` and
with it every index alone; it lapses by itself when its holder dies; and it is the fence: a result
is stored only while the row still bears the very lease that the result's claim was given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from daemon.core.model.ids import DeliveryId, EventId, WebhookId
from daemon.store.columns import columns
from daemon.store.session import Connection


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """The first attempt to be made of one event for one webhook."""

    id: DeliveryId
    webhook_id: WebhookId
    event_id: EventId
    event_created_at: datetime


CREATE = """
    INSERT INTO webhook_deliveries
           (id, webhook_id, event_id, event_type, payload, event_created_at)
    SELECT new.id, new.webhook_id, e.id, coalesce(e.event_type, ''), e.event_data, new.created_at
      FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[])
           AS new (id, webhook_id, event_id, created_at)
      JOIN webhook_events AS e ON e.id = new.event_id
"""


async def create(db: Connection, new: Sequence[NewDelivery]) -> None:
    """Insert first attempts, due at the transaction's time."""
    rows = [(d.id, d.webhook_id, d.event_id, d.event_created_at) for d in new]
    await db.execute(CREATE, *columns(rows))
