"""The fields of recent events: list."""

from dataclasses import dataclass

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, operation
from daemon.explain.event_fields import find_fields
from daemon.store.database import Database


@dataclass(frozen=True, slots=True)
class EventFields:
    """Lists what filters can be made of."""

    database: Database

    @operation(
        "GET /api/events/fields",
        operation_id="listEventFields",
        tag="Events",
        summary="List the fields of recent events",
        description=(
            "The dotted paths in the data of the newest events, with some values, to pick filters"
            " from. Large data are not looked into."
        ),
        responses={200: ("The fields, most frequent first.", schemas.EventFieldList)},
    )
    async def list_all(self, request: ApiRequest) -> ApiResponse:
        """Look at up to 100 events."""
        found = await find_fields(self.database, request.tenant_id)
        fields = [
            schemas.EventField(path=each.path, count=each.count, values=each.values)
            for each in found.fields
        ]
        return ApiResponse(200, schemas.EventFieldList(fields=fields, looked=found.looked))
