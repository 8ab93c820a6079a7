"""The search through the deliveries of all webhooks of a tenant."""

from dataclasses import dataclass, field
from functools import partial

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, operation
from daemon.admin.api.problems import Problem
from daemon.admin.resources.cursor import next_cursor, page_start
from daemon.admin.views.deliveries import delivery_response
from daemon.store import delivery_search
from daemon.store.attempts import Attempt
from daemon.store.database import Database
from daemon.store.delivery_search import (
    MOST_WEBHOOKS,
    DeliveryFilter,
    TooManyWebhooksError,
    WindowWidths,
)
from daemon.store.listing import ListFilter
from daemon.store.search import FoundPage

TOO_MANY_WEBHOOKS = (
    f"the tenant has more than {MOST_WEBHOOKS:,} webhooks: list the deliveries of one of them"
)


@dataclass(frozen=True, slots=True)
class DeliverySearch:
    """The operation that searches deliveries."""

    database: Database
    widths: WindowWidths = field(default_factory=WindowWidths)

    @operation(
        "GET /api/deliveries",
        operation_id="listDeliveries",
        tag="Deliveries",
        summary="Search deliveries of all webhooks",
        description=(
            "Newest first. A page looks at deliveries for about a tenth of a second, and says how"
            f" far back that was. With more than {MOST_WEBHOOKS:,} webhooks this is a 409: list the"
            " deliveries of one of them."
        ),
        query=schemas.DeliverySearchQuery,
        responses={200: ("A page of deliveries.", schemas.DeliverySearchPage)},
        problems=(409,),
    )
    async def search(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem: 404 for an unknown `before`, 409 for a tenant with too many webhooks."""
        query: schemas.DeliverySearchQuery = request.query
        selected = DeliveryFilter(
            ListFilter(query.event_type, query.status, query.from_, query.to),
            query.status_code,
            query.error,
        )
        for_operators = request.caller.is_operator
        async with self.database.connection() as db:
            before = await page_start(
                query.before,
                partial(
                    delivery_search.cursor_of, db, request.tenant_id, for_operators=for_operators
                ),
                absent="before: this tenant has no delivery with this id",
            )
            try:
                page = await delivery_search.search_deliveries(
                    *(db, request.tenant_id, selected),
                    before=before,
                    limit=query.limit,
                    widths=self.widths,
                    for_operators=for_operators,
                )
            except TooManyWebhooksError:
                raise Problem(409, TOO_MANY_WEBHOOKS) from None
        return ApiResponse(200, _response(page))


def _response(page: FoundPage[Attempt]) -> schemas.DeliverySearchPage:
    following = page.following
    return schemas.DeliverySearchPage(
        deliveries=[delivery_response(each) for each in page.rows],
        next=next_cursor(following),
        looked_to=None if following is None else following.at,
    )
