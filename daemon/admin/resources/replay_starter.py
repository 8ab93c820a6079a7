"""
Counting and starting replays, for events and for exhausted deliveries alike.

A count may read every event of a time range. So few of them read at once, and they take turns read
by read, the tenant that recently read least first; a tenant has one count among those that do.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from functools import partial
from weakref import WeakValueDictionary

from daemon.admin.api.audit import RequestAudit
from daemon.admin.api.problems import (
    RETRY_SOON,
    FieldError,
    Problem,
    invalid_member,
    require_found,
)
from daemon.core.errors import UnusableFilterError
from daemon.core.model.ids import TenantId
from daemon.core.model.replays import CountedReplay, Replay, ReplayRequest
from daemon.replay.count import count_in_turns
from daemon.replay.reasons import reason_for_nothing
from daemon.runtime.turns import Turns
from daemon.store import replays
from daemon.store.database import Database
from daemon.store.event_data_reader import EventDataReader
from daemon.store.replays import AlreadyRunning
from daemon.store.session import Connection

CONCURRENT_READS = 2
MAX_COUNTS_OF_TENANT = 2  # the one that takes turns, and one that waits for it
COUNT_SECONDS = 60.0
MOST_RUNNING = 100  # of a webhook; one of them runs, and the others wait for it


class ReplayStarter:
    """Counts what a replay would send, and starts it."""

    def __init__(self, database: Database, reader: EventDataReader, *, kept_for: timedelta) -> None:
        self._database = database
        self._reader = reader
        self._kept_for = kept_for
        self._turns = Turns(CONCURRENT_READS)
        self._in_progress: Counter[TenantId] = Counter()
        self._tenant_locks: WeakValueDictionary[TenantId, asyncio.Lock] = WeakValueDictionary()

    async def count(self, request: ReplayRequest, *, compare: bool = False) -> CountedReplay:
        """
        Count the events or deliveries of a replay, and change nothing.

        With `compare`, events are compared with earlier deliveries. Raises Problem: 404 for an
        unknown webhook, 409 for a webhook whose filter cannot be used, 422 for an empty time range,
        429 when the tenant counts too many at once, 503 when the count takes too long.
        """
        try:
            counted = require_found(await self._count(request, compare=compare), "webhook")
        except UnusableFilterError as error:
            field_errors = [FieldError("#/webhookId", str(error))]
            raise Problem(409, str(error), field_errors=field_errors) from None
        if counted.scope.from_time >= counted.scope.to_time:
            raise invalid_member("from", "must be before `to`, which is at most the current time")
        return counted

    async def start(self, counted: CountedReplay, audit: RequestAudit) -> Replay:
        """
        Store the replay, which a daemon then runs.

        Raises Problem: 404 for an unknown webhook, 409 while an identical replay is running, 429
        while very many others to this webhook are.
        """
        webhook_id = counted.scope.webhook_id
        async with self._database.transaction() as db:
            if await replays.count_running(db, webhook_id, limit=MOST_RUNNING) == MOST_RUNNING:
                raise Problem(
                    429,
                    f"{MOST_RUNNING} replays to this webhook run: wait for one or cancel some",
                    headers=RETRY_SOON,
                )
            created = await replays.create(db, counted, reason=reason_for_nothing(counted))
            if isinstance(created, AlreadyRunning):
                raise _already_running(created)
            replay_id = require_found(created, "webhook")
            await audit.write(db, created=replay_id)
        async with self._database.connection() as db:
            replay = await replays.get(db, counted.scope.tenant_id, replay_id)
        return require_found(replay, "replay")

    async def _count(self, request: ReplayRequest, *, compare: bool) -> CountedReplay | None:
        assert request.tenant_id is not None
        tenant_lock = self._tenant_locks.setdefault(request.tenant_id, asyncio.Lock())
        with self._count_of(request.tenant_id):
            async with tenant_lock:
                try:
                    async with asyncio.timeout(COUNT_SECONDS):
                        return await count_in_turns(
                            partial(self._turn, request.tenant_id),
                            request,
                            reader=self._reader,
                            kept_for=self._kept_for,
                            compare=compare,
                        )
                except TimeoutError:
                    raise Problem(
                        503,
                        f"counting takes more than {COUNT_SECONDS:.0f} s: narrow the time range",
                        headers=RETRY_SOON,
                    ) from None

    @asynccontextmanager
    async def _turn(self, tenant_id: TenantId) -> AsyncIterator[Connection]:
        async with self._turns.of(tenant_id), self._database.connection() as db:
            yield db

    @contextmanager
    def _count_of(self, tenant_id: TenantId) -> Iterator[None]:
        """Raises Problem (429) when the tenant has too many counts in progress."""
        if self._in_progress[tenant_id] >= MAX_COUNTS_OF_TENANT:
            raise Problem(
                429,
                f"{MAX_COUNTS_OF_TENANT} replays are being counted: wait until one is",
                headers=RETRY_SOON,
            )
        self._in_progress[tenant_id] += 1
        try:
            yield
        finally:
            self._in_progress[tenant_id] -= 1
            if not self._in_progress[tenant_id]:
                del self._in_progress[tenant_id]


def _already_running(running: AlreadyRunning) -> Problem:
    return Problem(
        409,
        f"the same replay is running already: {running.replay_id}",
        members={"id": str(running.replay_id)},
    )
