"""Erasure of single deliveries, by webhook."""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.core.model.ids import DeliveryId, EventId, WebhookId
from daemon.core.policy.contact_fields import CONTACT_JSON_PATHS
from daemon.store.erasure import (
    IDENTIFIES_CONTACT,
    ErasureStep,
    TextCursor,
    counts_of_deliveries,
    cursor_after,
)
from daemon.store.replay_results import counting_erased
from daemon.store.session import Connection

FIND = """
    WITH kept AS MATERIALIZED (
        (SELECT id, event_id, status, attempted_at AS at
           FROM webhook_deliveries
          WHERE webhook_id = $1 AND (attempted_at, id) > ($2::text::timestamptz, $3)
          ORDER BY attempted_at, id
          LIMIT $4)
        UNION ALL
        (SELECT id, event_id, status, attempted_at
           FROM webhook_deliveries
          WHERE webhook_id = $1 AND attempted_at IS NULL
            AND id > CASE WHEN $2::text IS NULL THEN $3
                          ELSE '00000000-0000-0000-0000-000000000000' END
          ORDER BY attempted_at, id
          LIMIT $4)
        LIMIT $4
    )
    SELECT id, event_id, status, at::text FROM kept ORDER BY kept.at NULLS LAST, id
"""


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """A row of `webhook_deliveries`; `pending` means that it has not been attempted."""

    id: DeliveryId
    event_id: EventId
    pending: bool


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """A page of a webhook's deliveries, and the next cursor."""

    deliveries: list[StoredDelivery]
    next: TextCursor


async def find(
    db: Connection, webhook_id: WebhookId, cursor: TextCursor, *, limit: int
) -> DeliveryPage:
    """Read a page of up to `limit` of the webhook's deliveries, oldest first."""
    rows = await db.fetch(FIND, webhook_id, cursor.at, cursor.id, limit)
    deliveries = [
        StoredDelivery(
            DeliveryId(row["id"]), EventId(row["event_id"]), row["status"] == "pending_retry"
        )
        for row in rows
    ]
    return DeliveryPage(deliveries, cursor_after(rows, cursor))


FIND_OF_CONTACT = f"""
    SELECT id
      FROM (SELECT id, payload AS data
              FROM webhook_deliveries
             WHERE id = ANY ($3::uuid[]) AND webhook_id IS NOT DISTINCT FROM $4) AS kept
     WHERE {IDENTIFIES_CONTACT}
"""  # noqa: S608  IDENTIFIES_CONTACT is a constant


async def find_of_contact(
    db: Connection, webhook_id: WebhookId, ids: Sequence[DeliveryId], contact: str
) -> list[DeliveryId]:
    """Those of a webhook's deliveries whose own copy of the data identifies the contact."""
    rows = await db.fetch(FIND_OF_CONTACT, contact, CONTACT_JSON_PATHS, ids, webhook_id)
    return [DeliveryId(row["id"]) for row in rows]


# Other tenants may have rows with these ids. Not `=`: a planner might read all deliveries of the
# webhook.
ERASE = counting_erased("""
        DELETE FROM webhook_deliveries AS d
         WHERE d.id = ANY (ARRAY(SELECT id FROM webhook_deliveries
                                  WHERE id = ANY ($1::uuid[])
                                    AND webhook_id IS NOT DISTINCT FROM $2
                                    FOR UPDATE SKIP LOCKED))
           AND d.webhook_id IS NOT DISTINCT FROM $2
""")

COUNT_REMAINING = """
    SELECT count(*) FROM webhook_deliveries
     WHERE id = ANY ($1::uuid[]) AND webhook_id IS NOT DISTINCT FROM $2
"""


async def erase(db: Connection, webhook_id: WebhookId, ids: Sequence[DeliveryId]) -> ErasureStep:
    """
    Erase these deliveries of a webhook.

    Call it again, in another transaction, until none remains.
    """
    rows = await db.fetch(ERASE, ids, webhook_id)
    remaining = await db.fetchval(COUNT_REMAINING, ids, webhook_id)
    return ErasureStep(counts_of_deliveries(rows), remaining)
