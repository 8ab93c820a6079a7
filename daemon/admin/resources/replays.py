"""Replays over HTTP: count, begin, look, cancel; exhausted deliveries are replayed like events."""

import asyncio
from weakref import WeakValueDictionary

from daemon.admin import schemas
from daemon.admin.api.operation import Call, Link, Operation, Reply
from daemon.admin.api.problems import Mistake, Problem, not_found
from daemon.admin.views import replays as replay_views
from daemon.core.errors import UnusableFilterError
from daemon.core.model.ids import ReplayId, TenantId, WebhookId
from daemon.core.model.replays import CountedReplay, Replay, ReplayRequest, ReplaySource
from daemon.replay.count import count_replay
from daemon.store import replays, webhooks
from daemon.store.database import Database

# A webhook that filters by data has every event of the window read.
COUNTS_AT_ONCE = 2
COUNT_SECONDS = 60.0


class ReplayDesk:
    """What is done with replays."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counts = asyncio.Semaphore(COUNTS_AT_ONCE)
        # One count at a time for each tenant, or a single one could have them all.
        self._lines: WeakValueDictionary[TenantId, asyncio.Lock] = WeakValueDictionary()

    def operations(self) -> list[Operation]:
        begun = {"look": Link("getReplay"), "cancel": Link("cancelReplay")}
        return [
            Operation(
                *("POST", "/api/replays", "startReplay", "Replays"),
                summary="Send stored events again",
                description=(
                    "To recover from downtime, to fill a new webhook, or to send what came while"
                    " one was paused: the events of the time that the webhook wants go out again"
                    " under the same ids, beside what is new. `dryRun` counts and sends nothing."
                ),
                handle=self.start,
                body=schemas.NewReplay,
                replies={
                    200: ("A dry run: how many it would be.", schemas.ReplayCount),
                    202: ("Begun.", schemas.Replay),
                },
                problems=(413, 415),
                links=begun,
            ),
            Operation(
                *("GET", "/api/webhooks/{id}/replays", "listReplays", "Replays"),
                summary="List a webhook's replays, newest first",
                handle=self.page,
                query=schemas.ReplaysQuery,
                replies={200: ("The newest replays.", schemas.Replays)},
            ),
            Operation(
                *("GET", "/api/replays/{id}", "getReplay", "Replays"),
                summary="See how far a replay is",
                handle=self.get,
                id_name="replay",
                replies={200: ("The replay.", schemas.Replay)},
            ),
            Operation(
                *("POST", "/api/replays/{id}/cancel", "cancelReplay", "Replays"),
                summary="Cancel a replay",
                description="What is under way goes on; nothing more is begun.",
                handle=self.cancel,
                id_name="replay",
                replies={200: ("What has become of it.", schemas.Replay)},
            ),
            Operation(
                *("POST", "/api/webhooks/{id}/retry-failed", "retryFailed", "Deliveries"),
                summary="Deliver again what was given up in a time",
                description="A replay of the exhausted deliveries, bit by bit beside what is new.",
                handle=self.retry_failed,
                body=schemas.Window,
                replies={202: ("How many, and the replay.", schemas.RetriesStarted)},
                problems=(413, 415),
                links={"look": Link("getReplay", member="replayId")},
            ),
        ]

    async def start(self, call: Call) -> Reply:
        body: schemas.NewReplay = call.body
        wanted = ReplayRequest(
            call.tenant,
            WebhookId(body.webhook_id),
            ReplaySource.EVENTS,
            body.from_,
            body.to,
            tuple(body.event_types) if body.event_types else None,
        )
        counted = await self._counted(wanted)
        if body.dry_run:
            return Reply(200, schemas.ReplayCount(total=counted.total))
        return Reply(202, await self._begun(call.tenant, counted))

    async def page(self, call: Call) -> Reply:
        query: schemas.ReplaysQuery = call.query
        webhook_id = WebhookId(call.id)
        async with self._database.connection() as db:
            if await webhooks.get(db, call.tenant, webhook_id) is None:
                raise not_found("webhook")
            found = await replays.list_for(db, call.tenant, webhook_id, limit=query.limit)
        return Reply(200, schemas.Replays(replays=[replay_views.replay(each) for each in found]))

    async def get(self, call: Call) -> Reply:
        return Reply(200, await self._shown(call.tenant, ReplayId(call.id)))

    async def cancel(self, call: Call) -> Reply:
        async with self._database.transaction() as db:
            replay = await replays.cancel(db, call.tenant, ReplayId(call.id))
        return Reply(200, _there(replay))

    async def retry_failed(self, call: Call) -> Reply:
        body: schemas.Window = call.body
        webhook_id = WebhookId(call.id)
        wanted = ReplayRequest(call.tenant, webhook_id, ReplaySource.EXHAUSTED, body.from_, body.to)
        counted = await self._counted(wanted)
        replay = await self._begun(call.tenant, counted) if counted.total else None
        return Reply(
            202,
            schemas.RetriesStarted(
                count=counted.total, replay_id=None if replay is None else replay.id
            ),
        )

    async def _counted(self, wanted: ReplayRequest) -> CountedReplay:
        try:
            counted = await self._count(wanted)
        except UnusableFilterError as error:
            raise Problem(409, str(error), mistakes=[Mistake("#/webhookId", str(error))]) from None
        if counted is None:
            raise not_found("webhook")
        if counted.scope.from_time >= counted.scope.to_time:
            reason = "must be before to, which is now at the latest"
            raise Problem(422, f"from: {reason}", mistakes=[Mistake("#/from", reason)])
        return counted

    async def _count(self, wanted: ReplayRequest) -> CountedReplay | None:
        assert wanted.tenant_id is not None
        line = self._lines.setdefault(wanted.tenant_id, asyncio.Lock())
        async with line, self._counts:
            try:
                async with asyncio.timeout(COUNT_SECONDS), self._database.connection() as db:
                    return await count_replay(db, wanted)
            except TimeoutError:
                sentence = f"it takes more than {COUNT_SECONDS:.0f} s to count: narrow the time"
                raise Problem(503, sentence) from None

    async def _begun(self, tenant: TenantId, counted: CountedReplay) -> schemas.Replay:
        async with self._database.transaction() as db:
            replay_id = await replays.create(db, counted)
        if replay_id is None:
            raise not_found("webhook")
        return await self._shown(tenant, replay_id)

    async def _shown(self, tenant: TenantId, replay_id: ReplayId) -> schemas.Replay:
        async with self._database.connection() as db:
            return _there(await replays.get(db, tenant, replay_id))


def _there(replay: Replay | None) -> schemas.Replay:
    if replay is None:
        raise not_found("replay")
    return replay_views.replay(replay)
