"""Explanations: what became of an event at a webhook, and what a filter would match."""

from dataclasses import dataclass

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, operation
from daemon.admin.api.problems import Problem, not_found, require_found
from daemon.admin.resources.webhook_settings import usable_subscription
from daemon.admin.views.explanations import (
    explanation_response,
    outcome_response,
    preview_response,
)
from daemon.core.model.ids import EventId, WebhookId
from daemon.explain.explainer import Explainer, UnknownObject
from daemon.explain.filter_preview import preview_filter
from daemon.store import explained_events
from daemon.store.database import Database
from daemon.store.event_webhooks import list_by_trouble


@dataclass(frozen=True, slots=True)
class Explanations:
    """Explains events, and previews filters."""

    database: Database
    explainer: Explainer

    @operation(
        "GET /api/webhooks/{id}/explain",
        operation_id="explainEvent",
        tag="Events",
        summary="Explain what became of an event at a webhook",
        description=(
            "Why the event did or did not go to the webhook, from its attempts or from how the"
            " webhook was set up when the event came in. A webhook that was deleted is explained"
            " for as long as events are kept."
        ),
        query=schemas.ExplainQuery,
        responses={200: ("What became of the event, and why.", schemas.Explanation)},
    )
    async def explain(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown webhook, and for an unknown event."""
        query: schemas.ExplainQuery = request.query
        event_id, webhook_id = EventId(query.event_id), WebhookId(request.id)
        explained = await self.explainer.explain(
            self.database.connection, request.tenant_id, event_id, webhook_id
        )
        if isinstance(explained, UnknownObject):
            if explained.kind == "webhook":
                raise not_found("webhook")
            raise Problem(404, "eventId: this tenant has no event with this id")
        return ApiResponse(200, explanation_response(explained))

    @operation(
        "GET /api/events/{id}/outcomes",
        operation_id="listEventOutcomes",
        tag="Events",
        summary="Explain what became of an event at every webhook",
        description=(
            "What became of the event at a page of the tenant's webhooks, and why; what needs"
            " attention comes first."
        ),
        query=schemas.EventOutcomesQuery,
        id_of="event",
        responses={200: ("A page of outcomes.", schemas.EventOutcomes)},
    )
    async def outcomes(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown event."""
        query: schemas.EventOutcomesQuery = request.query
        tenant_id, event_id = request.tenant_id, EventId(request.id)
        async with self.database.connection() as db:
            require_found(await explained_events.get(db, tenant_id, event_id), "event")
            found = await list_by_trouble(
                *(db, tenant_id, event_id),
                after=None if query.after is None else WebhookId(query.after),
                limit=query.limit + 1,
                search=query.search,
                for_operators=request.caller.is_operator,
            )
        page = [each.id for each in found[: query.limit]]
        explained = await self.explainer.explain_at(
            self.database.connection, tenant_id, event_id, page
        )
        return ApiResponse(
            200,
            schemas.EventOutcomes(
                outcomes=[outcome_response(each) for each in explained],
                next=page[-1] if len(found) > query.limit else None,
            ),
        )

    @operation(
        "POST /api/filters/preview",
        operation_id="previewFilter",
        tag="Webhooks",
        summary="Preview a filter",
        description=(
            "Compares event types and filters with the tenant's latest events, as a webhook would,"
            " and says of some of each kind why. It changes nothing."
        ),
        body=schemas.FilterPreviewRequest,
        responses={200: ("How many of the latest events match.", schemas.FilterPreview)},
        only_reads=True,
    )
    async def preview(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (422) for a filter that a webhook could not have."""
        body: schemas.FilterPreviewRequest = request.body
        matcher = usable_subscription(body.event_types, body.event_filters)
        preview = await preview_filter(self.database, request.tenant_id, matcher)
        return ApiResponse(200, preview_response(preview))
