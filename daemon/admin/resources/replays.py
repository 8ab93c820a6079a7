"""Replays: create, list, retrieve, cancel."""

from dataclasses import dataclass
from functools import partial

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, Link, operation
from daemon.admin.api.problems import require_found
from daemon.admin.resources.cursor import next_cursor, page_start
from daemon.admin.resources.replay_starter import ReplayStarter
from daemon.admin.views.replays import count_response, replay_response
from daemon.core.model.ids import ReplayId, WebhookId
from daemon.core.model.replays import ReplayRequest, ReplaySource
from daemon.store import replays, webhooks
from daemon.store.database import Database
from daemon.store.session import Connection


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
        responses={200: ("A page of replays.", schemas.ReplayList)},
    )
    async def list_newest(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown webhook or an unknown `before`."""
        webhook_id = WebhookId(request.id)
        async with self.database.connection() as db:
            require_found(await webhooks.get(db, request.tenant_id, webhook_id), "webhook")
            return await _page(db, request, webhook_id)

    @operation(
        "GET /api/replays",
        operation_id="listReplays",
        tag="Replays",
        summary="List replays of all webhooks",
        description="Newest first.",
        query=schemas.ReplaysQuery,
        responses={200: ("A page of replays.", schemas.ReplayList)},
    )
    async def list_page(self, request: ApiRequest) -> ApiResponse:
        """Raises Problem (404) for an unknown `before`."""
        async with self.database.connection() as db:
            return await _page(db, request, None)

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


async def _page(db: Connection, request: ApiRequest, webhook_id: WebhookId | None) -> ApiResponse:
    """A page of the replays of a webhook, or of all. Raises Problem (404) as `page_start` does."""
    query: schemas.ReplaysQuery = request.query
    before = await page_start(
        query.before,
        partial(replays.cursor_of, db, request.tenant_id),
        absent="before: this tenant has no replay with this id",
    )
    found, following = await replays.list_page(
        db,
        request.tenant_id,
        webhook_id=webhook_id,
        before=before,
        limit=query.limit,
        for_operators=request.caller.is_operator,
    )
    shown = [replay_response(each) for each in found]
    return ApiResponse(200, schemas.ReplayList(replays=shown, next=next_cursor(following)))
