"""A PostgreSQL for tests, and databases in it that do not outlive what they are for."""

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import orjson

from daemon import embedded
from daemon.store.session import PLANNING

# A test's data need not outlive the machine; commits stay as synchronous as they are in earnest.
# The log is kept short, as it may lie in memory.
FAST_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "max_wal_size": "256MB",
}


@contextmanager
def folder_for_postgres() -> Iterator[Path]:
    """A temporary folder that `nobody`, as whom root's PostgreSQL runs, can enter too."""
    folder = Path(tempfile.mkdtemp(prefix="webhookd-tests-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def temporary_server() -> Iterator[str]:
    """A superuser's URL of a server of our own; the loop that it needs stands still meanwhile."""
    with (
        folder_for_postgres() as folder,
        asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner,
    ):
        server = runner.run(embedded.start(folder / "postgres", settings=FAST_SETTINGS))
        try:
            yield server.url
        finally:
            runner.run(server.stop())


@contextmanager
def temporary_database(server: str, *, template: str = "template0") -> Iterator[str]:
    """The URL of a clone of `template`, dropped at the end whoever is still connected."""
    url = _created(server, template)
    try:
        yield url
    finally:
        _drop(server, url)


class ClonedDatabases:
    """
    Clones of a template for one test after another: while a test runs, another thread drops the
    database of the one before and makes that of the next. Between two tests nothing goes on.
    """

    def __init__(self, server: str, template: str) -> None:
        self._server = server
        self._template = template
        self._thread = ThreadPoolExecutor(1)
        self._next = self._thread.submit(_created, server, template)
        self._used: str | None = None

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a clone; it may hold out until another test has begun."""
        url = self._next.result()
        self._next = self._thread.submit(self._renewed, self._used)
        self._used = url
        try:
            yield url
        finally:
            wait([self._next])

    def close(self) -> None:
        for url in (self._next.result(), self._used):
            if url is not None:
                _drop(self._server, url)
        self._thread.shutdown()

    def _renewed(self, used: str | None) -> str:
        if used is not None:
            _drop(self._server, used)
        return _created(self._server, self._template)


def _created(server: str, template: str) -> str:
    name = f"webhookd_test_{secrets.token_hex(6)}"
    run_in_new_loop(_execute(server, f"CREATE DATABASE {name} TEMPLATE {template}"))
    return urlsplit(server)._replace(path=f"/{name}").geturl()


def _drop(server: str, url: str) -> None:
    name = urlsplit(url).path.removeprefix("/")
    run_in_new_loop(_execute(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


async def _execute(url: str, query: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(query)
    finally:
        await connection.close()


def run_in_new_loop(coroutine: Coroutine[object, object, object]) -> None:
    """Run to the end on a loop of its own, which leaves the test's loop as it is."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(coroutine)


async def most_rows_read(connection: asyncpg.Connection, query: str, *args: object) -> int:
    """
    Try a query as the daemon has it planned; the most rows that it read in any one place.

    What it changed is taken back.
    """
    trial = connection.transaction()
    await trial.start()
    try:
        await connection.execute(PLANNING)
        explained = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", *args)
    finally:
        await trial.rollback()
    return int(max(_rows_read(orjson.loads(explained)[0]["Plan"])))


def _rows_read(node: dict[str, Any]) -> Iterator[float]:
    if "Relation Name" in node:
        removed = sum(count for name, count in node.items() if name.startswith("Rows Removed"))
        yield (node["Actual Rows"] + removed) * node["Actual Loops"]
    for inner in node.get("Plans", ()):
        yield from _rows_read(inner)
