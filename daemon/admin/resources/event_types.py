"""Event types: list."""

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, operation
from daemon.admin.views.events import event_types_response


class EventTypes:
    """Operations on event types."""

    @operation(
        "GET /api/event-types",
        operation_id="listEventTypes",
        tag="Events",
        summary="List event types",
        description="The 13 types and the operational ones, with their fields and sample data.",
        responses={200: ("All event types.", schemas.EventTypeList)},
    )
    async def list_all(self, _: ApiRequest) -> ApiResponse:
        return ApiResponse(200, event_types_response())
