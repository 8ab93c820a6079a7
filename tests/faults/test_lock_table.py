"""A role fills PostgreSQL's table of locks."""

from collections.abc import Iterator
from uuid import UUID

import asyncpg
import pytest

from daemon.store.migrations import migrate
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.postgres import temporary_database, temporary_server
from tests.support.receiver import Receiver

ALL_LOCKS = "SELECT pg_advisory_lock(n) FROM generate_series(1, 1000000) AS n"


@pytest.fixture
def own_database() -> Iterator[str]:
    """An empty database on a server that no other test uses."""
    with temporary_server() as server, temporary_database(server) as url:
        yield url


async def is_published(app: Application, tenant: UUID) -> bool:
    try:
        await app.event(tenant)
    except asyncpg.OutOfMemoryError:
        return False
    return True


@pytest.mark.full  # it needs a server of its own
async def test_the_daemon_goes_on_by_itself_once_the_table_of_locks_has_room_again(
    own_database: str, receiver: Receiver
) -> None:
    await migrate(own_database)
    connection, greedy = [await asyncpg.connect(own_database) for _ in range(2)]
    app = Application(connection)
    webhook = await app.webhook(tenant := await app.tenant(), receiver.url + "/hook")
    async with serving(own_database):
        assert await is_published(app, tenant)
        await until(lambda: settled(app, webhook, "success", 1))

        with pytest.raises(asyncpg.OutOfMemoryError):
            await greedy.execute(ALL_LOCKS)  # it keeps those that it got
        was_published = await is_published(app, tenant)
        await greedy.close()
        await until(lambda: is_published(app, tenant))
        await until(lambda: settled(app, webhook, "success", 2 + was_published))
    await connection.close()

    assert not was_published
