"""
The load of an upgrade in service, and the count of what came of it.

The application inserts events steadily; of each tenth, either endpoint fails the first attempt.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from tests.support.application import Application
from tests.support.daemons import until
from tests.support.receiver import Received, Receiver, Reply

PATHS = ("/quick", "/slow")
SLOW_SECONDS = 0.05
PACE_SECONDS = 0.01
FAILS_EVERY = 10
SETTINGS = """
[delivery]
retry_schedule = ["1s", "1s", "1s", "1s", "1s"]
failing_after = 1000
pause_after = 2000
"""
UNFINISHED = """
    SELECT (SELECT count(*) FROM webhook_event_inbox)
         + (SELECT count(*) FROM webhook_deliveries WHERE status = 'pending_retry')
"""
STORED = """
    SELECT w.endpoint_url, d.event_id
      FROM webhook_deliveries AS d JOIN webhooks AS w ON w.id = d.webhook_id
     WHERE d.status = $1
"""
Pair = tuple[str, str]  # of a path and the event's id


class Load:
    """One tenant with a webhook for each path; `inserted` are its committed events."""

    def __init__(self, url: str, receiver: Receiver) -> None:
        self.inserted: list[UUID] = []
        self.failed: Counter[Pair] = Counter()
        self._url = url
        self._receiver = receiver
        receiver.answer = self._answer

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Insert events during the block, one by one."""
        db = await asyncpg.connect(self._url)
        app = Application(db)
        tenant = await app.tenant()
        for path in PATHS:
            await app.webhook(tenant, self._receiver.url + path)
        ended = asyncio.Event()
        inserting = asyncio.create_task(self._insert(app, tenant, ended))
        try:
            yield
        finally:
            ended.set()
            await inserting
            await db.close()

    async def _insert(self, app: Application, tenant: UUID, ended: asyncio.Event) -> None:
        while not ended.is_set():
            self.inserted.append(await app.event(tenant))
            await asyncio.sleep(PACE_SECONDS)

    async def further(self, count: int) -> None:
        """Wait until `count` events more are inserted, and everything until then has come."""
        wanted = len(self.inserted) + count
        await until(lambda: len(self.inserted) >= wanted)
        expected = self.expected()
        await until(lambda: expected <= self.requests().keys())

    async def finished(self) -> None:
        """Wait until nothing waits for an attempt, or for its result to be stored."""
        db = await asyncpg.connect(self._url)

        async def is_finished() -> bool:
            return not await db.fetchval(UNFINISHED)

        await until(is_finished, within=60)
        await db.close()

    def expected(self) -> set[Pair]:
        """Return every pair that has to be delivered by now."""
        return {(path, f"evt_{event.hex}") for path in PATHS for event in self.inserted}

    def requests(self) -> Counter[Pair]:
        """Return how often each pair has come."""
        return Counter(request.pair for request in self._receiver.received)

    def recent(self) -> int:
        """Return how many requests came within the last second: their results may be unstored."""
        since = time.monotonic() - 1
        return sum(request.at > since for request in self._receiver.received)

    def repeated(self) -> int:
        """Return how many requests were too many: more than failed ones and a success."""
        return sum(max(0, count - 1 - self.failed[pair]) for pair, count in self.requests().items())

    async def stored(self, status: str) -> Counter[Pair]:
        """Return how many rows with this status each pair has."""
        db = await asyncpg.connect(self._url)
        rows = await db.fetch(STORED, status)
        await db.close()
        prefix = len(self._receiver.url)
        return Counter((row["endpoint_url"][prefix:], f"evt_{row['event_id'].hex}") for row in rows)

    def _answer(self, request: Received) -> Reply:
        pair = request.pair
        if int(pair[1][-8:], 16) % FAILS_EVERY == 0 and not self.failed[pair]:
            self.failed[pair] += 1
            return Reply(500)
        return Reply(after=SLOW_SECONDS if request.path == "/slow" else 0)
