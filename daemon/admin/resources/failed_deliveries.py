"""Failed deliveries of a webhook: retry all that have no retries left."""

from dataclasses import dataclass

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, Link, operation
from daemon.admin.resources.replay_starter import ReplayStarter
from daemon.core.model.ids import WebhookId
from daemon.core.model.replays import ReplayRequest, ReplaySource


@dataclass(frozen=True, slots=True)
class FailedDeliveries:
    """Operations on the exhausted deliveries of a webhook."""

    starter: ReplayStarter

    @operation(
        "POST /api/webhooks/{id}/retry-failed",
        operation_id="retryFailedDeliveries",
        tag="Deliveries",
        summary="Retry the exhausted deliveries of a webhook",
        description="A replay sends those of the time range again, alongside new events.",
        body=schemas.TimeRange,
        responses={202: ("The number of deliveries, and the replay.", schemas.RetriesStarted)},
        problems=(409, 429),
        links={"retrieve": Link("retrieveReplay", member="replayId")},
    )
    async def retry(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem as `ReplayStarter` does."""
        body: schemas.TimeRange = request.body
        counted = await self.starter.count(
            ReplayRequest(
                request.tenant_id,
                WebhookId(request.id),
                ReplaySource.EXHAUSTED,
                body.from_,
                body.to,
            )
        )
        replay = await self.starter.start(counted, request.audit) if counted.total else None
        replay_id = None if replay is None else replay.id
        return ApiResponse(202, schemas.RetriesStarted(count=counted.total, replay_id=replay_id))
