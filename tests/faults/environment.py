"""The environment of a scenario: tenants with webhooks, an application that publishes, daemons."""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from itertools import cycle
from pathlib import Path
from uuid import UUID

import asyncpg

from daemon.cli.support.process import raise_open_file_limit
from tests.support.application import Application
from tests.support.daemons import Daemon, daemon, free_port, until
from tests.support.receiver import Receiver, Reply, receiving

DELIVERY_SECONDS = 120.0
# Errors of a connection whose server goes away.
CONNECTION_LOST = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
Pair = tuple[str, str]  # the path, which identifies the webhook, and the event's public id

UNDELIVERED = """
    SELECT (SELECT count(*)
              FROM webhook_events AS e JOIN webhooks AS w ON w.tenant_id = e.tenant_id)
         - (SELECT count(*) FROM webhook_deliveries WHERE status = 'success')
"""
EXPIRE_LEASES = """
    UPDATE webhook_deliveries SET leased_until = now() - interval '1 ms'
     WHERE leased_until IS NOT NULL;
    UPDATE webhook_event_inbox SET leased_until = now() - interval '1 ms'
     WHERE leased_until IS NOT NULL;
"""
DAEMON_CONNECTIONS = """
    SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND application_name LIKE 'webhookd%'
"""


class Environment:
    """One database, one receiver for all endpoints, and the application that publishes."""

    def __init__(self, database: str, folder: Path, receiver: Receiver) -> None:
        self.database = database
        self.receiver = receiver
        self.tenants: list[UUID] = []
        self.log = folder / "daemon.log"
        self._folder = folder
        self._webhooks_per_tenant = 0
        self._next_tenant: Iterator[UUID] = iter(())

    async def add_webhooks(self, *, tenants: int, webhooks: int) -> None:
        """Add tenants with `webhooks` each; every webhook has its own path."""
        async with self.application() as app:
            for number in range(tenants):
                tenant = await app.tenant()
                self.tenants.append(tenant)
                for each in range(webhooks):
                    await app.webhook(tenant, f"{self.receiver.url}/{number}-{each}")
        self._webhooks_per_tenant = webhooks
        self._next_tenant = cycle(self.tenants)

    def daemon(
        self,
        *,
        port: int | None = None,
        settings: str = "",
        variables: Mapping[str, str] | None = None,
    ) -> AbstractAsyncContextManager[Daemon]:
        """Run a daemon during a block, with more environment variables; all write to `log`."""
        return daemon(
            self.database,
            self._folder,
            port=port or free_port(),
            settings=settings,
            log=self.log,
            variables=variables or {},
        )

    @asynccontextmanager
    async def application(self) -> AsyncIterator[Application]:
        """The application, on a separate connection."""
        connection = await asyncpg.connect(self.database, timeout=5, command_timeout=60)
        try:
            yield Application(connection)
        finally:
            connection.terminate()

    async def publish(self, count: int, *, batch: int = 20) -> None:
        """Publish `count` events for one tenant after another, `batch` per transaction."""
        async with self.application() as app:
            for start in range(0, count, batch):
                await app.events(next(self._next_tenant), min(batch, count - start))

    @asynccontextmanager
    async def publishing(self, *, batch: int = 5, ahead: int = 500) -> AsyncIterator[None]:
        """
        Publish during the block, and go on after every loss of the database.

        At most `ahead` deliveries are published that were not received yet, to bound the load.
        """
        task = asyncio.create_task(self._publish_forever(batch, ahead))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _publish_forever(self, batch: int, ahead: int) -> None:
        while True:
            try:
                async with self.application() as app:
                    await self._publish_on(app, batch, ahead)
            except CONNECTION_LOST:
                await asyncio.sleep(0.05)

    async def _publish_on(self, app: Application, batch: int, ahead: int) -> None:
        received, published = len(self.receiver.received), 0
        while True:
            await app.events(next(self._next_tenant), batch)
            published += batch * self._webhooks_per_tenant
            while published - (len(self.receiver.received) - received) > ahead:
                await asyncio.sleep(0.02)

    def requests_per_pair(self) -> Counter[Pair]:
        """Count the requests for each pair of webhook and event."""
        return Counter(request.pair for request in self.receiver.received)

    async def wait_for_requests(self, more: int, *, within: float = 60.0) -> None:
        """Wait until `more` requests have arrived from now on."""
        wanted = len(self.receiver.received) + more
        await until(lambda: len(self.receiver.received) >= wanted, within=within)

    async def wait_for_deliveries(self, *, within: float = DELIVERY_SECONDS) -> None:
        """Wait for a success of every pair; returns after `within` seconds at the latest."""

        async def all_delivered() -> bool:
            async with self.application() as app:
                return bool(await app.db.fetchval(UNDELIVERED) <= 0)

        with suppress(TimeoutError):  # the check that follows reports what is missing
            await until(all_delivered, within=within, every=0.2)

    async def wait_for_disconnection(self) -> None:
        """Wait until no server process works for a daemon any more."""

        async def disconnected() -> bool:
            async with self.application() as app:
                return bool(await app.db.fetchval(DAEMON_CONNECTIONS) == 0)

        await until(disconnected)

    async def expire_leases(self) -> None:
        """End every current lease, as if its time had passed."""
        async with self.application() as app:
            await app.db.execute(EXPIRE_LEASES)


@asynccontextmanager
async def environment(
    database: str,
    folder: Path,
    *,
    tenants: int,
    webhooks: int,
    answer_after: float = 0.0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Environment]:
    """Set up an environment whose receiver answers 200 after `answer_after` seconds."""
    raise_open_file_limit()
    async with receiving(tls=tls) as receiver:
        receiver.answer = lambda _: Reply(after=answer_after)
        env = Environment(database, folder, receiver)
        await env.add_webhooks(tenants=tenants, webhooks=webhooks)
        yield env
