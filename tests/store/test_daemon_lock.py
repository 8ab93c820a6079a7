"""The lock by which other daemons know that this one is alive."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator

import pytest

from daemon.store.daemon_lock import DaemonLock
from tests.support.application import Application
from tests.support.daemons import until

KEY = 77
TERMINATE = """
    SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 77
"""


@pytest.fixture
async def lock(database: str) -> AsyncIterator[DaemonLock]:
    opened = DaemonLock(database, KEY)
    yield opened
    await opened.close()


async def is_free(app: Application) -> bool:
    return bool(await app.db.fetchval("SELECT pg_try_advisory_xact_lock($1)", KEY))


async def test_it_is_held_until_it_is_closed(app: Application, lock: DaemonLock) -> None:
    for _ in range(2):
        await lock.hold(on_lost=lambda: None)
    while_held = await is_free(app)
    await lock.close()

    assert not while_held
    await until(lambda: is_free(app))


async def test_once_its_session_has_ended_it_is_taken_again(
    app: Application, lock: DaemonLock
) -> None:
    lost = asyncio.Event()
    await lock.hold(on_lost=lost.set)
    await app.db.execute(TERMINATE)
    await asyncio.wait_for(lost.wait(), 30)

    await lock.hold(on_lost=lost.set)

    assert not await is_free(app)


async def test_a_lock_that_a_former_session_still_holds_is_taken_when_that_has_ended(
    app: Application, lock: DaemonLock
) -> None:
    await app.db.execute("SELECT pg_advisory_lock($1)", KEY)
    await lock.hold(on_lost=lambda: None)
    await app.db.execute("SELECT pg_advisory_unlock($1)", KEY)

    await lock.hold(on_lost=lambda: None)

    assert not await is_free(app)


@pytest.mark.parametrize("key", [KEY, 2**62, 3 * 2**40 + 2**31 + 5])
async def test_the_session_of_another_that_has_it_is_named(
    app: Application, database: str, key: int
) -> None:
    lock = DaemonLock(database, key)
    await app.db.execute("SELECT pg_advisory_lock($1)", key)

    is_held = await lock.hold(on_lost=lambda: None)
    holder = lock.holder
    await app.db.execute("SELECT pg_advisory_unlock($1)", key)
    is_held_then = await lock.hold(on_lost=lambda: None)
    await lock.close()

    assert (is_held, is_held_then) == (False, True)
    pid, role = await app.db.fetchrow("SELECT pg_backend_pid(), current_user::text")
    assert holder is not None
    assert holder.startswith(f"pid {pid} (role {role}, ")
    assert lock.holder is None


async def test_a_former_session_of_its_own_is_no_other(database: str) -> None:
    lock = DaemonLock(database, KEY)
    await lock.hold(on_lost=lambda: None)
    former, lock._connection = lock._connection, None  # as if its end were not known yet
    assert former is not None

    is_held = await lock.hold(on_lost=lambda: None)

    await lock.close()
    await former.close()
    assert (is_held, lock.holder) == (False, None)


async def test_a_peer_that_is_gone_is_noticed_without_a_statement(lock: DaemonLock) -> None:
    before = kept_alive()
    await lock.hold(on_lost=lambda: None)

    assert len(kept_alive() - before) == 1


def kept_alive() -> set[int]:
    """The sockets of this process that ask each second whether their peer is there."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            copy = socket.socket(fileno=os.dup(int(name)))
        except OSError:  # no socket, or closed by now
            continue
        with copy:
            if copy.family == socket.AF_INET and copy.getsockopt(
                socket.SOL_SOCKET, socket.SO_KEEPALIVE
            ):
                idle = copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
                found |= {int(name)} if idle == 1 else set()
    return found
