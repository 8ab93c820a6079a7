"""
Counting and starting replays, for events and for exhausted deliveries alike.

A count may read every event of a time range, so that few of them run at once.
"""

import asyncio
from weakref import WeakValueDictionary

from daemon.admin.api.audit import RequestAudit
from daemon.admin.api.problems import FieldError, Problem, invalid_member, require_found
from daemon.core.errors import UnusableFilterError
from daemon.core.model.ids import TenantId
from daemon.core.model.replays import CountedReplay, Replay, ReplayRequest
from daemon.replay.count import count_replay
from daemon.store import replays
from daemon.store.database import Database

CONCURRENT_COUNTS = 2
COUNT_SECONDS = 60.0


class ReplayStarter:
    """Counts what a replay would send, and starts it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counts = asyncio.Semaphore(CONCURRENT_COUNTS)
        # One count at a time per tenant, so that no tenant occupies them all.
        self._tenant_locks: WeakValueDictionary[TenantId, asyncio.Lock] = WeakValueDictionary()

    async def count(self, request: ReplayRequest) -> CountedReplay:
        """
        Count the events or deliveries of a replay, and change nothing.

        Raises Problem: 404 for an unknown webhook, 409 for a webhook whose filter cannot be used,
        422 for an empty time range, 503 when the count takes too long.
        """
        try:
            counted = require_found(await self._count(request), "webhook")
        except UnusableFilterError as error:
            field_errors = [FieldError("#/webhookId", str(error))]
            raise Problem(409, str(error), field_errors=field_errors) from None
        if counted.scope.from_time >= counted.scope.to_time:
            raise invalid_member("from", "must be before `to`, which is at most the current time")
        return counted

    async def start(self, counted: CountedReplay, audit: RequestAudit) -> Replay:
        """Store the replay, which a daemon then runs. Raises Problem (404): no such webhook."""
        async with self._database.transaction() as db:
            replay_id = require_found(await replays.create(db, counted), "webhook")
            await audit.write(db, created=replay_id)
        async with self._database.connection() as db:
            replay = await replays.get(db, counted.scope.tenant_id, replay_id)
        return require_found(replay, "replay")

    async def _count(self, request: ReplayRequest) -> CountedReplay | None:
        assert request.tenant_id is not None
        tenant_lock = self._tenant_locks.setdefault(request.tenant_id, asyncio.Lock())
        async with tenant_lock, self._counts:
            try:
                async with asyncio.timeout(COUNT_SECONDS), self._database.connection() as db:
                    return await count_replay(db, request)
            except TimeoutError:
                raise Problem(
                    503, f"counting takes more than {COUNT_SECONDS:.0f} s: narrow the time range"
                ) from None
