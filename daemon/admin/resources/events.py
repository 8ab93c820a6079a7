"""Events: list and retrieve."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, operation
from daemon.admin.api.problems import require_found
from daemon.admin.resources.cursor import next_cursor, page_start
from daemon.admin.views.events import (
    MAX_DATA_BYTES,
    event_detail_response,
    event_response,
    facets_response,
)
from daemon.core.model.cursor import Cursor
from daemon.core.model.ids import EventId, TenantId
from daemon.runtime.offload import Offload
from daemon.store import attempts, stored_events
from daemon.store.database import Database
from daemon.store.event_facets import find_facets
from daemon.store.event_search import EventFilter, search_events
from daemon.store.listing import ListFilter
from daemon.store.session import Connection
from daemon.store.stored_events import EventEntry


@dataclass(frozen=True, slots=True)
class Events:
    """Operations on stored events."""

    database: Database
    offload: Offload

    @operation(
        "GET /api/events",
        operation_id="listEvents",
        tag="Events",
        summary="List events",
        description=(
            "Newest first. With `contact` or `campaign`, a page looks at events for about a tenth"
            " of a second, and says how far back that was."
        ),
        query=schemas.EventsQuery,
        responses={200: ("A page of events.", schemas.EventList)},
    )
    async def list_page(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown `before`."""
        query: schemas.EventsQuery = request.query
        listed = ListFilter(query.event_type or query.type, None, query.from_, query.to)
        selected = EventFilter(listed, query.contact, query.campaign)
        async with self.database.connection() as db:
            before = await page_start(
                query.before,
                partial(stored_events.cursor_of, db, request.tenant_id),
                absent="before: this tenant has no event with this id",
            )
            found, following = await _find(
                db, request.tenant_id, selected, before=before, limit=query.limit
            )
        return ApiResponse(
            200,
            schemas.EventList(
                events=[event_response(each) for each in found],
                next=next_cursor(following),
                looked_to=None if following is None else following.at,
            ),
        )

    @operation(
        "GET /api/events/facets",
        operation_id="listEventFacets",
        tag="Events",
        summary="List what recent events hold",
        description=(
            "The types, campaigns and contacts of the newest events, to pick from. Data of more"
            " than 64 KiB, as stored, are not looked into."
        ),
        responses={200: ("What recent events hold.", schemas.EventFacets)},
    )
    async def facets(self, request: ApiRequest) -> ApiResponse:
        """Look at up to 2,000 events."""
        async with self.database.connection() as db:
            facets = await find_facets(db, request.tenant_id)
        return ApiResponse(200, facets_response(facets))

    @operation(
        "GET /api/events/{id}",
        operation_id="retrieveEvent",
        tag="Events",
        summary="Retrieve an event",
        description=(
            "The event with its data and its deliveries. The id is a UUID, or `evt_…` as receivers"
            " see it."
        ),
        id_of="event",
        responses={200: ("The event.", schemas.EventDetail)},
    )
    async def retrieve(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown event."""
        event_id = EventId(request.id)
        async with self.database.connection() as db:
            event = require_found(
                await stored_events.get_event(
                    db, request.tenant_id, event_id, most_bytes=MAX_DATA_BYTES
                ),
                "event",
            )
            # A webhook for operators may have got it while its scope was another.
            found = await attempts.list_for_event(
                *(db, request.tenant_id, event_id), for_operators=request.caller.is_operator
            )
        return await self.offload.run(
            lambda: ApiResponse(200, event_detail_response(event, found)),
            size=len(event.data or ""),
            owner=request.tenant_id,
        )


async def _find(
    db: Connection, tenant_id: TenantId, selected: EventFilter, *, before: Cursor, limit: int
) -> tuple[Sequence[EventEntry], Cursor | None]:
    """List events, or search their data for what they name."""
    if selected.contact is None and selected.campaign is None:
        return await stored_events.list_events(
            db, tenant_id, selected.listed, before=before, limit=limit
        )
    page = await search_events(db, tenant_id, selected, before=before, limit=limit)
    return page.rows, page.following
