"""Deliveries: inserted, and conditions on them to wait for."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg

from tests.support.application import Application

# An endpoint that counts as failing gets its attempts on this schedule, too.
SHORT = {
    "retry_schedule": ["300ms", "300ms", "300ms", "300ms", "300ms"],
    "failing_backoff": "0s",
}

MANY = 60_000  # rows of one webhook, of which a scan passes the index entries


async def settled(app: Application, webhook_id: object, status: str, count: int) -> bool:
    """Whether the webhook has at least `count` deliveries with this status."""
    found = await app.db.fetchval(
        "SELECT count(*) FROM webhook_deliveries WHERE webhook_id = $1 AND status = $2",
        webhook_id,
        status,
    )
    return bool(found >= count)


async def inbox_is_empty(app: Application) -> bool:
    """Whether every event so far has met its webhooks: one created now receives none of them."""
    return bool(await app.db.fetchval("SELECT count(*) = 0 FROM webhook_event_inbox"))


async def nothing_pending(app: Application) -> bool:
    """Whether no attempt of any webhook is pending."""
    pending = await app.db.fetchval(
        "SELECT count(*) FROM webhook_deliveries WHERE status = 'pending_retry'"
    )
    return bool(pending == 0)


async def nothing_leased(app: Application) -> bool:
    """Whether no attempt of any webhook has a lease."""
    leased = await app.db.fetchval(
        "SELECT count(*) FROM webhook_deliveries WHERE leased_until IS NOT NULL"
    )
    return bool(leased == 0)


async def insert_delivery(app: Application, webhook: UUID, **columns: object) -> UUID:
    """Insert a delivery, by default with a pending second attempt that is due in an hour."""
    values: dict[str, object] = {
        "webhook_id": webhook,
        "event_id": uuid4(),
        "event_type": "email.opened",
        "payload": '{"n": 1}',
        "status": "pending_retry",
        "attempt_number": 2,
        "next_retry_at": datetime.now(UTC) + timedelta(hours=1),
        "event_created_at": datetime(2025, 1, 1, tzinfo=UTC),
    } | columns
    places = ", ".join(f"${number + 1}" for number in range(len(values)))
    row = await app.db.fetchrow(
        f"INSERT INTO webhook_deliveries ({', '.join(values)}) VALUES ({places}) RETURNING id",
        *values.values(),
    )
    return UUID(str(row["id"]))


async def insert_many(db: asyncpg.Connection, webhook: UUID) -> None:
    """Insert one attempt that is due, and many that are not, in a transaction that stays open."""
    await db.execute("SET session_replication_role = replica; BEGIN")  # nothing is notified
    await db.execute(
        """
        INSERT INTO webhook_deliveries
               (id, webhook_id, event_id, event_type, payload, status, next_retry_at)
        SELECT gen_random_uuid(), $1, gen_random_uuid(), 'x', '{}', 'pending_retry',
               now() + interval '1 day' * random() * sign(number)
          FROM generate_series(0, $2::int) AS number
        """,
        *(webhook, MANY),
    )
