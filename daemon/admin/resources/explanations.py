"""Explanations: what became of an event at a webhook, and what a filter would match."""

from dataclasses import dataclass

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, operation
from daemon.admin.api.problems import Problem, not_found
from daemon.admin.resources.webhook_settings import usable_subscription
from daemon.admin.views.explanations import explanation_response, preview_response
from daemon.core.model.ids import EventId, WebhookId
from daemon.explain.explainer import Explainer, UnknownObject
from daemon.explain.filter_preview import preview_filter
from daemon.store.database import Database


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
        async with self.database.connection() as db:
            explained = await self.explainer.explain(db, request.tenant_id, event_id, webhook_id)
        if isinstance(explained, UnknownObject):
            if explained.kind == "webhook":
                raise not_found("webhook")
            raise Problem(404, "eventId: this tenant has no event with this id")
        return ApiResponse(200, explanation_response(explained))

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
