"""A daemon for all tests of a module, on an event loop of its own: each test has another loop."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import uvloop

from daemon.service import Service
from tests.support.api_client import FEW_CONNECTIONS, OPERATOR, ApiClient, operator_client
from tests.support.application import Application
from tests.support.daemons import serving


@dataclass(frozen=True, slots=True)
class SharedDaemon:
    """A running daemon and the URL of its database."""

    service: Service
    database: str

    @asynccontextmanager
    async def client(self) -> AsyncIterator[ApiClient]:
        """A client of the API for a new tenant."""
        connection = await asyncpg.connect(self.database)
        tenant = await Application(connection).tenant()
        await connection.close()
        async with operator_client(self.service, tenant) as api:
            yield api


@contextmanager
def shared_daemon(database: str, **sections: dict[str, Any]) -> Iterator[SharedDaemon]:
    """
    Run a daemon that serves the API during the block, in another thread.

    Its tests are independent of each other if each has a tenant of its own.
    """
    sections["admin"] = {"tokens": [OPERATOR]} | sections.get("admin", {})
    sections.setdefault("database", FEW_CONNECTIONS)
    started: Future[tuple[Service, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        async with serving(database, **sections) as service:
            end = asyncio.Event()
            started.set_result((service, asyncio.get_running_loop(), end))
            await end.wait()

    with ThreadPoolExecutor(1) as executor:
        running = executor.submit(uvloop.run, run())
        futures: list[Future[Any]] = [started, running]
        wait(futures, return_when=FIRST_COMPLETED)
        if running.done():
            running.result()
        service, loop, end = started.result()
        try:
            yield SharedDaemon(service, database)
        finally:
            loop.call_soon_threadsafe(end.set)
            running.result()
