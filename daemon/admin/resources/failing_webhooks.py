"""Failing webhooks: what is wrong now, across all tenants."""

from dataclasses import asdict, dataclass

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, operation
from daemon.store import failing_webhooks
from daemon.store.database import Database


@dataclass(frozen=True, slots=True)
class FailingWebhooks:
    """The operation on what is failing, for operators."""

    database: Database

    @operation(
        "GET /api/failing-webhooks",
        operation_id="listFailingWebhooks",
        tag="Tenants",
        summary="List the webhooks of all tenants that are failing now",
        description=(
            "Those that began to fail last stand first, each with its last error. Only operators"
            " can list them; X-Tenant-ID is ignored."
        ),
        query=schemas.FailingWebhooksQuery,
        responses={200: ("The failing webhooks.", schemas.FailingWebhooks)},
        operator_only=True,
    )
    async def list_newest(self, request: ApiRequest) -> ApiResponse:
        """The webhooks that are failing now."""
        limit: int = request.query.limit
        async with self.database.connection() as db:
            found = await failing_webhooks.newest(db, limit=limit + 1)
        return ApiResponse(
            200,
            schemas.FailingWebhooks(
                webhooks=[schemas.FailingWebhook(**asdict(each)) for each in found[:limit]],
                complete=len(found) <= limit,
            ),
        )
