"""Failed deliveries of a webhook or of a replay: retry all that have no retries left."""

from dataclasses import dataclass

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, Link, operation
from daemon.admin.api.problems import require_found
from daemon.admin.resources.replay_starter import ReplayStarter
from daemon.core.model.ids import ReplayId, WebhookId
from daemon.core.model.replays import CountedReplay, ReplayRequest, ReplaySource, failed_of
from daemon.store import replays
from daemon.store.database import Database


@dataclass(frozen=True, slots=True)
class FailedDeliveries:
    """Operations on exhausted deliveries."""

    database: Database
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
        return await self._start(counted, request)

    @operation(
        "POST /api/replays/{id}/retry-failed",
        operation_id="retryFailedOfReplay",
        tag="Replays",
        summary="Retry what was given up in a replay",
        description="Another replay sends again what was given up and not attempted since.",
        id_of="replay",
        responses={202: ("The number of deliveries, and the replay.", schemas.RetriesStarted)},
        problems=(409, 429),
        links={"retrieve": Link("retrieveReplay", member="replayId")},
    )
    async def retry_of_replay(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown replay, and as `ReplayStarter` does."""
        async with self.database.connection() as db:
            replay = require_found(
                await replays.get(db, request.tenant_id, ReplayId(request.id)), "replay"
            )
        return await self._start(await self.starter.count(failed_of(replay)), request)

    async def _start(self, counted: CountedReplay, request: ApiRequest) -> ApiResponse:
        replay = await self.starter.start(counted, request.audit) if counted.total else None
        replay_id = None if replay is None else replay.id
        return ApiResponse(202, schemas.RetriesStarted(count=counted.total, replay_id=replay_id))
