"""Holds as an operator makes them, and what waits while they last."""

from uuid import UUID

from daemon.core.model.ids import TenantId
from daemon.store import holds, notification_queue
from tests.support.application import Application


async def hold(app: Application, tenant: UUID | None = None, *, reason: str | None = None) -> None:
    """Hold a tenant, or everything."""
    async with app.db.transaction():
        await holds.hold(app.db, _id(tenant), held_by="ops", reason=reason)
        await notification_queue.notify_holds(app.db)


async def release(app: Application, tenant: UUID | None = None) -> None:
    """End a hold."""
    async with app.db.transaction():
        await holds.release(app.db, _id(tenant))
        await notification_queue.notify_holds(app.db)


async def waiting(app: Application) -> int:
    """How many attempts are pending, none of them under way."""
    found = await app.db.fetchrow(
        "SELECT count(*) AS pending, count(*) FILTER (WHERE leased_until > now()) AS leased"
        "  FROM webhook_deliveries WHERE status = 'pending_retry'"
    )
    return 0 if found["leased"] else int(found["pending"])


def _id(tenant: UUID | None) -> TenantId | None:
    return None if tenant is None else TenantId(tenant)
