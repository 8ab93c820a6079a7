"""Conditions on deliveries to wait for, and a short retry schedule."""

from tests.support.application import Application

SHORT = {"retry_schedule": ["300ms", "300ms", "300ms", "300ms", "300ms"]}


async def settled(app: Application, webhook_id: object, status: str, count: int) -> bool:
    """Whether the webhook has at least `count` deliveries with this status."""
    found = await app.db.fetchval(
        "SELECT count(*) FROM webhook_deliveries WHERE webhook_id = $1 AND status = $2",
        webhook_id,
        status,
    )
    return bool(found >= count)


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
