"""The demo's course: the daemon begins, events come, endpoints fail, one is paused and repaired."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from ipaddress import ip_network

import asyncpg
import structlog
from structlog.typing import EventDict, WrappedLogger

from daemon import logs
from daemon.cli.demo import fixtures, summary
from daemon.cli.demo.display import Stage
from daemon.cli.demo.endpoints import Endpoints, Visit, receiving
from daemon.cli.support.console import Screen
from daemon.config import Admin, Config, Delivery, Egress
from daemon.core.model.notices import NoticeKind
from daemon.service import Service
from daemon.store.migrations import migrate
from daemon.store.session import Connection

SCHEDULE = tuple(timedelta(seconds=seconds) for seconds in (1, 2, 3, 4, 5))
PAUSE_AFTER = 12

# All 13 types are seen in a few seconds; then one can read along.
QUICK, QUICKLY_SECONDS, SLOWLY_SECONDS = 16, 0.2, 0.7
REPAIR_SECONDS = 8.0
WATCH_SECONDS = 0.05

NOTICES = """
    SELECT id, webhook_id, kind, (data ->> 'consecutiveFailures')::int AS failures
      FROM webhook_notices
     WHERE id > $1
     ORDER BY id
"""
RESUME = "UPDATE webhooks SET is_active = true WHERE id = $1"


class Play:
    """One performance on an empty database; `perform` is all of it."""

    def __init__(self, screen: Screen, database_url: str, *, verbose: bool) -> None:
        self._url = database_url
        self._verbose = verbose
        self._delivery = Delivery(
            retry_schedule=SCHEDULE, pause_after=PAUSE_AFTER, drain=timedelta(seconds=2)
        )
        self._stage = Stage(screen, self._delivery)
        self._cast = fixtures.make_cast()
        self._witness = summary.Witness()
        self._endpoints = Endpoints(self._cast, self._see)
        self._by_id = {each.id: each for customer in self._cast for each in customer.endpoints}
        self._last_notice = 0
        self._repairs: deque[tuple[float, fixtures.Endpoint]] = deque()

    async def perform(self, stop: asyncio.Event, *, seconds: float | None) -> None:
        """Play until `stop`, or for so many seconds; then sum it up."""
        configure_logs(verbose=self._verbose)
        await migrate(self._url)
        async with (
            receiving(self._endpoints) as port,
            asyncpg.create_pool(self._url, min_size=2, max_size=4) as database,
        ):
            receiver_url = f"http://127.0.0.1:{port}"
            async with database.acquire() as db:
                await fixtures.enter(db, self._cast, receiver_url)
            async with self._daemon(port) as service:
                self._stage.rise(
                    self._cast,
                    served_at=f"http://127.0.0.1:{service.port}",
                    receiver_at=receiver_url,
                )
                await self._act(database, stop, seconds)
            async with database.acquire() as db:
                await self._news(db)
                self._stage.fall(await summary.count(db), self._witness)

    @asynccontextmanager
    async def _daemon(self, receiver_port: int) -> AsyncIterator[Service]:
        """The daemon as it is in earnest, in this very process, until the block ends."""
        service = Service(self._config(receiver_port), database_url=self._url)
        ready = asyncio.Event()
        life = asyncio.create_task(service.run(on_ready=ready.set))
        life.add_done_callback(lambda _: ready.set())  # what cannot begin is not waited for
        await ready.wait()
        try:
            if not life.done():
                yield service
        finally:
            service.stop()
            await life

    def _config(self, receiver_port: int) -> Config:
        return Config(
            delivery=self._delivery,
            egress=Egress(
                allow_http=True,
                allow_networks=(ip_network("127.0.0.1/32"),),
                allow_ports=((receiver_port, receiver_port),),
            ),
            admin=Admin(port=0),
        )

    async def _act(
        self, database: asyncpg.Pool, stop: asyncio.Event, seconds: float | None
    ) -> None:
        async with asyncio.TaskGroup() as group:
            acts = [group.create_task(act(database)) for act in (self._publish, self._watch)]
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), seconds)
            for act in acts:
                act.cancel()

    async def _publish(self, database: asyncpg.Pool) -> None:
        """Events, one after the other, as the application commits them."""
        async with database.acquire() as db:
            for number, event in enumerate(fixtures.script(self._cast), start=1):
                self._endpoints.expect(event.public_id)
                await fixtures.publish(db, event)
                await asyncio.sleep(QUICKLY_SECONDS if number < QUICK else SLOWLY_SECONDS)

    async def _watch(self, database: asyncpg.Pool) -> None:
        """Show what the daemon notes of the endpoints, and have a paused one repaired in time."""
        clock = asyncio.get_running_loop().time
        async with database.acquire() as db:
            while True:
                for endpoint in await self._news(db):
                    self._repairs.append((clock() + REPAIR_SECONDS, endpoint))
                while self._repairs and self._repairs[0][0] <= clock():
                    await self._repair(db, self._repairs.popleft()[1])
                await asyncio.sleep(WATCH_SECONDS)

    async def _news(self, db: Connection) -> list[fixtures.Endpoint]:
        """Show the transitions since the last look; return the endpoints that were paused."""
        paused = []
        for row in await db.fetch(NOTICES, self._last_notice):
            self._last_notice = row["id"]
            endpoint, kind = self._by_id[row["webhook_id"]], NoticeKind(row["kind"])
            self._stage.show_change(endpoint, kind, row["failures"])
            if kind in {NoticeKind.PAUSED, NoticeKind.GONE}:
                paused.append(endpoint)
        self._witness.paused += [endpoint.name for endpoint in paused]
        return paused

    async def _repair(self, db: Connection, endpoint: fixtures.Endpoint) -> None:
        """As its owner would: mend it, then switch the webhook on again."""
        endpoint.habit = fixtures.steady
        self._stage.show_resumed(endpoint)
        self._witness.resumed.append(endpoint.name)
        await db.execute(RESUME, endpoint.id)

    def _see(self, visit: Visit) -> None:
        self._witness.note(visit)
        self._stage.show_visit(visit)


def configure_logs(*, verbose: bool) -> None:
    """The daemon's own log: warnings alone, and not those that the stage tells anyway."""
    logs.configure("auto", "info" if verbose else "warning")
    if not verbose:
        processors = structlog.get_config()["processors"]
        processors.insert(0, _without_changes)


def _without_changes(_: WrappedLogger, __: str, fields: EventDict) -> EventDict:
    if fields.get("event") == "endpoint.changed":
        raise structlog.DropEvent
    return fields
