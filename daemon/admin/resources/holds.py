"""
Holds: hold everything or one tenant, release it, retrieve what is held.

The rule: a hold and a release name who did it and why, in the audit and the log.
"""

from dataclasses import dataclass, replace

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, operation
from daemon.admin.api.problems import Problem, not_found
from daemon.admin.views.holds import holds_response
from daemon.core.explanations.wording import held_since
from daemon.core.model.ids import TenantId
from daemon.store import holds, notification_queue
from daemon.store.database import Database
from daemon.store.session import Connection

MOST_LISTED = 100


@dataclass(frozen=True, slots=True)
class Holds:
    """Operations on holds, for operators."""

    database: Database

    @operation(
        "POST /api/hold",
        operation_id="holdDeliveries",
        tag="Holds",
        summary="Hold a tenant, or everything",
        description=(
            "From one second on, no request is sent for the tenant that X-Tenant-ID names, or"
            " without it for any: what is under way ends. Events make their deliveries, and these"
            " wait. What is held already stays as it is. Only operators can hold."
        ),
        body=schemas.HoldRequest,
        body_optional=True,
        responses={200: ("What holds this tenant, or all that is held.", schemas.Holds)},
        id_of="tenant",
        operator_only=True,
    )
    async def hold(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown tenant."""
        tenant_id = request.caller.tenant_id
        async with self.database.connection() as db:
            if not await holds.may_be_held(db, tenant_id):
                raise not_found("tenant")
        async with self.database.transaction() as db:
            held = await holds.hold(
                db,
                tenant_id,
                held_by=request.caller.actor.name,
                reason=request.body.reason,
            )
            return await self._changed(db, request, changed=held)

    @operation(
        "POST /api/release",
        operation_id="releaseDeliveries",
        tag="Holds",
        summary="End a hold",
        description=(
            "Ends the hold of the tenant that X-Tenant-ID names, or without it that of everything:"
            " tenants that are held by themselves stay held. What waits goes out within seconds,"
            " each delivery once, at the usual pace. Where nothing is held, nothing changes. Only"
            " operators can release."
        ),
        body=schemas.HoldRequest,
        body_optional=True,
        responses={200: ("What holds this tenant still, or all that is held.", schemas.Holds)},
        id_of="tenant",
        operator_only=True,
    )
    async def release(self, request: ApiRequest) -> ApiResponse:
        """The holds that remain."""
        async with self.database.transaction() as db:
            released = await holds.release(db, request.caller.tenant_id)
            return await self._changed(db, request, changed=released)

    @operation(
        "GET /api/hold",
        operation_id="retrieveHolds",
        tag="Holds",
        summary="Retrieve what is held",
        description=(
            "For a tenant, what holds it: everything may be held, and it may be held by itself."
            " For an operator without X-Tenant-ID, all that is held."
        ),
        responses={200: ("What is held.", schemas.Holds)},
        tenant_optional=True,
    )
    async def retrieve(self, request: ApiRequest) -> ApiResponse:
        """The holds in force."""
        async with self.database.connection() as db:
            return await _held(db, request)

    async def _changed(self, db: Connection, request: ApiRequest, *, changed: bool) -> ApiResponse:
        if changed:
            await notification_queue.notify_holds(db)
        tenant_id = request.caller.tenant_id
        audit = request.audit
        audit.record = replace(audit.record, object_id=tenant_id, reason=request.body.reason)
        await audit.write(db)
        return await _held(db, request)


async def _held(db: Connection, request: ApiRequest) -> ApiResponse:
    tenant_id = request.caller.tenant_id
    if tenant_id is None:
        found = await holds.list_all(db, limit=MOST_LISTED)
        total = await holds.count(db)
    else:
        found = await holds.list_of(db, tenant_id)
        total = len(found)
    response = holds_response(found, total, for_tenant=not request.caller.is_operator)
    return ApiResponse(200, response)


async def refuse_if_held(db: Connection, tenant_id: TenantId) -> None:
    """Raises Problem (409) for what would be sent at once for a tenant that is held."""
    if found := await holds.list_of(db, tenant_id):
        raise Problem(409, f"{held_since(found[0])}: nothing is sent until it is released")
