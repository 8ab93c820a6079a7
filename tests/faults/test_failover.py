"""
A standby is promoted under load: what it had acknowledged is delivered.

The daemon is given both hosts, and finds by itself the one that accepts writes.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

import asyncpg
import pytest

from daemon.admin.server import database_wait
from daemon.admin.server.database_wait import RETRY_SECONDS
from daemon.core.errors import DatabaseUnavailableError
from daemon.service import Service
from daemon.store import migrations
from daemon.store.writable import answers_read_only
from tests.support.application import Application
from tests.support.daemons import config, free_port, serving, until
from tests.support.failover import Server, needs_server_programs, replicated
from tests.support.receiver import Receiver

pytestmark = needs_server_programs

WRITABLE = "?target_session_attrs=read-write"
LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def both(primary: Server, standby: Server) -> str:
    """The URL that names both hosts."""
    return primary.url.replace(primary.host, f"{primary.host},{standby.host}") + WRITABLE


def delivered(receiver: Receiver) -> set[str]:
    """The ids of events that have come."""
    return {each.headers["webhook-id"] for each in receiver.received}


class Load:
    """The application: inserts events one by one, and remembers those that were acknowledged."""

    def __init__(self, url: str, tenant: UUID) -> None:
        self._url = url
        self._tenant = tenant
        self.acknowledged: list[UUID] = []

    async def run(self) -> None:
        """Insert until cancelled; connect again whenever the connection is lost."""
        while True:
            with suppress(*LOST):
                db = await asyncpg.connect(self._url, timeout=2)
                try:
                    while True:
                        event = await Application(db).event(self._tenant)
                        self.acknowledged.append(event)
                        await asyncio.sleep(0.002)
                finally:
                    db.terminate()
            await asyncio.sleep(0.05)

    async def further(self, count: int) -> None:
        """Wait for so many more that are acknowledged."""
        wanted = len(self.acknowledged) + count
        await until(lambda: len(self.acknowledged) >= wanted, within=60)


@pytest.mark.parametrize("count", [50, pytest.param(800, marks=pytest.mark.full)])
async def test_deliveries_go_on_after_a_standby_is_promoted_under_load(
    receiver: Receiver, count: int
) -> None:
    async with replicated() as (primary, standby):
        url = both(primary, standby)
        await migrations.migrate(url)
        db = await asyncpg.connect(primary.url)
        app = Application(db)
        tenant = await app.tenant()
        await app.webhook(tenant, receiver.url)
        await db.close()
        load = Load(url, tenant)
        async with serving(url):
            inserting = asyncio.create_task(load.run())
            await load.further(count)
            await until(lambda: len(receiver.received) >= count // 2)

            began = time.monotonic()
            await primary.stop("immediate")
            await standby.promote()
            promoted = time.monotonic()
            await load.further(count)
            inserting.cancel()
            await asyncio.wait([inserting])

            expected = {f"evt_{event.hex}" for event in load.acknowledged}
            await until(
                lambda: expected <= {each.headers["webhook-id"] for each in receiver.received}
            )

    after = min(each.at for each in receiver.received if each.at > promoted)
    twice = len(receiver.received) - len(delivered(receiver))
    print(
        f"{len(expected)} events acknowledged, none lost, {twice} received more than once; stop and"
        f" promotion took {promoted - began:.1f} s, the next delivery came {after - promoted:.1f} s"
        " later"
    )


@pytest.mark.full
@pytest.mark.parametrize("named", [both, lambda _, standby: standby.url + WRITABLE])
async def test_a_daemon_that_finds_only_standbys_says_so_once_and_waits(
    receiver: Receiver,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    named: Callable[[Server, Server], str],
) -> None:
    monkeypatch.setattr(database_wait, "DATABASE_WAIT_SECONDS", 0.0)
    printed: list[str] = []

    def says_so() -> bool:
        printed.append(capfd.readouterr().out)
        return "database.read_only" in "".join(printed)

    async with replicated() as (primary, standby):
        await migrations.migrate(primary.url)
        await primary.stop("fast")

        starting = asyncio.create_task(_deliver_one(named(primary, standby), receiver))
        await until(lambda: says_so() or starting.done())
        if starting.done():
            await starting  # raises what ended it
        await asyncio.sleep(RETRY_SECONDS * 2)
        await standby.promote()
        await starting

    said = "".join(printed) + capfd.readouterr().out
    assert said.count("no host of database.url accepts writes until a standby is promoted") == 1
    assert "Traceback" not in said
    assert len(receiver.received) == 1


async def test_a_host_that_was_promoted_since_the_attempt_is_tried_again(postgres_url: str) -> None:
    host = f"127.0.0.1:{free_port()}"
    writable = postgres_url.replace("@", f"@{host},", 1) + WRITABLE

    assert await answers_read_only(writable)


async def test_without_a_standby_that_answers_a_database_is_not_awaited_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database_wait, "DATABASE_WAIT_SECONDS", 0.0)
    url = f"postgresql://a@127.0.0.1:{free_port()},127.0.0.1:{free_port()}/b{WRITABLE}"

    with pytest.raises(DatabaseUnavailableError, match="connection refused"):
        await Service(config(), database_url=url).run()


async def _deliver_one(url: str, receiver: Receiver) -> None:
    async with serving(url):
        db = await asyncpg.connect(url)
        app = Application(db)
        tenant = await app.tenant()
        await app.webhook(tenant, receiver.url)
        await app.event(tenant)
        await until(lambda: receiver.received)
        await db.close()
