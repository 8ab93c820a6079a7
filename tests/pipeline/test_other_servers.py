"""Subscriptions are read again from a server whose transactions have other numbers than before."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from daemon.core.errors import DatabaseUnavailableError
from daemon.core.model.ids import TenantId
from daemon.core.scheduling.slow_tenants import SlowTenants
from daemon.pipeline.inbox_reader import InboxReader
from daemon.pipeline.subscription_cache import SubscriptionCache
from daemon.store import migrations, subscriptions
from daemon.store.database import Database
from daemon.store.leased_events import LeasedEvent, Leasing
from daemon.store.session import Connection
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.failover import Server, needs_server_programs, new_server, servers_folder
from tests.support.pgbouncer import needs_pgbouncer, pooler
from tests.support.receiver import Receiver

# Of the log of transactions that are not waited for, nothing but whole pages is written while the
# test runs; each transaction takes 34 bytes.
LOSES_THE_LAST = {"wal_writer_delay": "10s", "wal_writer_flush_after": "1GB"}
USE_NUMBERS = """
    DO $$ BEGIN
        FOR number IN 1..500 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP;
        WHILE pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') % 8192 NOT BETWEEN 6000 AND 7500
         LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP;
    END $$
"""
NEXT_NUMBER = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"


class Fanout:
    """The parts of a daemon that find events and read subscriptions, turn by turn."""

    def __init__(self, database: Database) -> None:
        leasing = Leasing(lease=timedelta(seconds=15), daemon_key=7, most_bytes=8_000_000)
        self.cache = SubscriptionCache(database)
        self.reader = InboxReader(
            *(database, self.cache),
            wake=asyncio.Event(),
            leasing=leasing,
            slow=SlowTenants(slow_from=100),
        )

    async def turn(self) -> Sequence[LeasedEvent]:
        """Lease events; again if the connection was lost since the last turn."""
        try:
            leased, _ = await self.reader.lease_next(limit=9, held=[])
        except DatabaseUnavailableError:
            leased, _ = await self.reader.lease_next(limit=9, held=[])
        return leased.events

    async def subscribed(self, tenant: TenantId) -> int:
        """How many webhooks the tenant's next event is matched against."""
        await self.turn()
        assert await self.cache.load_few([tenant]) == set()
        return len(self.cache.index_of(tenant))


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = Database(url, size=4)
    await database.open()
    yield database
    await database.close(within=timedelta(seconds=1))


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Application]:
    connection = await asyncpg.connect(server.url)
    yield Application(connection)
    connection.terminate()


async def use_numbers(app: Application) -> int:
    """Use up numbers of transactions that a crash gives again; returns the next one."""
    await app.db.execute("SET synchronous_commit = off")
    await app.db.execute(USE_NUMBERS)
    await app.db.execute("RESET synchronous_commit")
    following: int = await app.db.fetchval(NEXT_NUMBER)
    return following


@needs_server_programs
async def test_a_webhook_made_with_a_number_that_a_crash_gave_again_gets_events() -> None:
    """Even if the server has overtaken the last number that the daemon saw before."""
    async with servers_folder() as folder:
        server = await new_server(folder)
        await server.start(**LOSES_THE_LAST)
        await migrations.migrate(server.url)
        async with opened(server.url) as database:
            fanout = Fanout(database)
            async with connected(server) as app:
                tenant = TenantId(await app.tenant())
                await app.webhook(tenant, "http://127.0.0.1/")
                before = await fanout.subscribed(tenant)
                reached = await use_numbers(app)
            await fanout.turn()

            await server.stop("immediate")
            await server.start(**LOSES_THE_LAST)
            async with connected(server) as app:
                again = await app.db.fetchval(NEXT_NUMBER)
                await app.webhook(tenant, "http://127.0.0.1/")
                while await use_numbers(app) <= reached:
                    pass
            after = await fanout.subscribed(tenant)

    assert again < reached - 100
    assert (before, after) == (1, 2)


@needs_pgbouncer
async def test_where_a_pooler_leads_to_another_server_the_subscriptions_there_count(
    app: Application, database: str, receiver: Receiver, shared_database: str
) -> None:
    other = Application(await asyncpg.connect(shared_database))
    tenant = await app.tenant()
    await app.webhook(tenant, receiver.url + "/old")
    await other.db.execute("INSERT INTO tenants (id) VALUES ($1)", tenant)
    await other.webhook(tenant, receiver.url + "/new")
    async with (
        pooler(database, "transaction") as between,
        serving(between.url, database={"url": between.url, "pooled": True}),
    ):
        await app.event(tenant)
        await until(lambda: receiver.at("/old"))

        between.lead_to(urlsplit(shared_database).path.removeprefix("/"))
        await other.event(tenant)
        await until(lambda: receiver.at("/new"))
    await other.db.close()

    assert len(receiver.received) == 2


async def test_as_long_as_the_server_is_the_same_subscriptions_are_read_once(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of the pool's connections is used, and when one of them is lost."""
    read, of_tenants = [], subscriptions.of_tenants

    async def counted(db: Connection, *args: Any, **options: Any) -> Any:
        read.append(args)
        return await of_tenants(db, *args, **options)

    monkeypatch.setattr(subscriptions, "of_tenants", counted)
    tenant = TenantId(await app.tenant())
    await app.webhook(tenant, "http://127.0.0.1/")
    async with opened(database) as pool:
        fanout = Fanout(pool)
        await fanout.subscribed(tenant)
        async with pool.connection():  # the next scan is another session's
            await fanout.subscribed(tenant)
        async with pool.connection() as first:
            first.terminate()
        await app.event(tenant)
        await fanout.subscribed(tenant)

    assert len(read) == 1
