"""Replays: create, list, retrieve, cancel."""

from dataclasses import dataclass

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, Link, operation
from daemon.admin.api.problems import require_found
from daemon.admin.resources.replay_starter import ReplayStarter
from daemon.admin.views.replays import count_response, replay_response
from daemon.core.model.ids import ReplayId, WebhookId
from daemon.core.model.replays import ReplayRequest, ReplaySource
from daemon.store import replays, webhooks
from daemon.store.database import Database


@dataclass(frozen=True, slots=True)
class Replays:
    """Operations on replays."""

    database: Database
    starter: ReplayStarter

    @operation(
        "POST /api/replays",
        operation_id="createReplay",
        tag="Replays",
        summary="Create a replay",
        description=(
            "Sends stored events again: after downtime, to a new webhook, or after a pause. The"
            " events of the time range that match the webhook are sent with their original ids,"
            " alongside new events; an attempt that is pending is brought forward instead."
            " `onlyUndelivered` leaves out what the webhook has had. `dryRun` only counts. While an"
            " identical replay is running, the response is a 409 with its `id`."
        ),
        body=schemas.CreateReplayRequest,
        responses={
            200: ("Dry run: the numbers of events.", schemas.ReplayCount),
            202: ("The replay.", schemas.Replay),
        },
        problems=(409, 429),
        links={"retrieve": Link("retrieveReplay"), "cancel": Link("cancelReplay")},
        id_of="replay",
        dry_run=True,
    )
    async def create(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem as `ReplayStarter` does."""
        body: schemas.CreateReplayRequest = request.body
        counted = await self.starter.count(
            ReplayRequest(
                request.tenant_id,
                WebhookId(body.webhook_id),
                ReplaySource.EVENTS,
                body.from_,
                body.to,
                tuple(body.event_types) if body.event_types else None,
                only_undelivered=body.only_undelivered,
            ),
            compare=body.dry_run,
        )
        if body.dry_run:
            return ApiResponse(200, count_response(counted))
        replay = await self.starter.start(counted, request.audit)
        return ApiResponse(202, replay_response(replay))

    @operation(
        "GET /api/webhooks/{id}/replays",
        operation_id="listWebhookReplays",
        tag="Replays",
        summary="List replays of a webhook",
        description="Newest first.",
        query=schemas.ReplaysQuery,
        responses={200: ("The newest replays.", schemas.ReplayList)},
    )
    async def list_newest(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown webhook."""
        query: schemas.ReplaysQuery = request.query
        tenant_id, webhook_id = request.tenant_id, WebhookId(request.id)
        async with self.database.connection() as db:
            require_found(await webhooks.get(db, tenant_id, webhook_id), "webhook")
            found = await replays.list_for(db, tenant_id, webhook_id, limit=query.limit)
        return ApiResponse(
            200, schemas.ReplayList(replays=[replay_response(each) for each in found])
        )

    @operation(
        "GET /api/replays/{id}",
        operation_id="retrieveReplay",
        tag="Replays",
        summary="Retrieve a replay",
        description=(
            "The replay, its progress, and what came of it: `delivered`, `failed` and `waiting` add"
            " up to `total`, unless it was cancelled. `completed` means that every event was"
            " attempted, not that none waits for a retry."
        ),
        id_of="replay",
        responses={200: ("The replay.", schemas.Replay)},
    )
    async def retrieve(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown replay."""
        async with self.database.connection() as db:
            replay = await replays.get(db, request.tenant_id, ReplayId(request.id))
        return ApiResponse(200, replay_response(require_found(replay, "replay")))

    @operation(
        "POST /api/replays/{id}/cancel",
        operation_id="cancelReplay",
        tag="Replays",
        summary="Cancel a replay",
        description="Attempts in progress finish; no further ones are started.",
        id_of="replay",
        responses={200: ("The replay.", schemas.Replay)},
    )
    async def cancel(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown replay."""
        async with self.database.transaction() as db:
            replay = require_found(
                await replays.cancel(db, request.tenant_id, ReplayId(request.id)), "replay"
            )
            await request.audit.write(db)
        return ApiResponse(200, replay_response(replay))
