"""A PostgreSQL server for tests, and temporary databases in it."""

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import orjson

from daemon import embedded
from daemon.store.session import PLANNING

# Test data need not survive a crash of the machine, but synchronous_commit stays as in production.
# The write-ahead log is kept short, as it may be in memory (see scratch.py).
FAST_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "jit": "off",  # for the tests' own connections: Debian's compiles for seconds
    "max_connections": "200",
    "max_wal_size": "256MB",
}


def today_in_utc() -> date:
    """The day by which history is partitioned."""
    return datetime.now(UTC).date()


@contextmanager
def folder_for_postgres() -> Iterator[Path]:
    """A temporary folder that `nobody` can enter: root runs PostgreSQL as that user."""
    folder = Path(tempfile.mkdtemp(prefix="webhookd-tests-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def temporary_server(*, bin_dir: Path | None = None, **settings: str) -> Iterator[str]:
    """
    Run a server, with more settings; yield a superuser's URL. Its programs are in `bin_dir`.

    Its event loop runs only at the start and the stop.
    """
    with (
        folder_for_postgres() as folder,
        asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner,
    ):
        start = embedded.start(
            folder / "postgres", settings=FAST_SETTINGS | settings, bin_dir=bin_dir
        )
        server = runner.run(start)
        try:
            runner.run(_execute(server.url, *_fast_logins(server.url)))
            yield server.url
        finally:
            runner.run(server.stop())


@contextmanager
def temporary_database(server: str, *, template: str = "template0") -> Iterator[str]:
    """Yield the URL of a clone of `template`; drop it at the end, despite open connections."""
    url = _create(server, template)
    try:
        yield url
    finally:
        _drop(server, url)


class DailyTemplate:
    """
    A database to be cloned, made again after midnight: its partitions are those of its first days.

    `make` gives the empty database of its URL what the clones are to have.
    """

    def __init__(
        self, server: str, make: Callable[[str], None], *, today: Callable[[], date] = today_in_utc
    ) -> None:
        self.server = server
        self.today = today
        self._make = make
        self._made_on: date | None = None
        self._urls: list[str] = []  # those of earlier days may be being cloned
        self._lock = Lock()

    def name(self) -> str:
        """The name of a database that was made today."""
        with self._lock:
            today = self.today()
            if self._made_on != today:
                self._urls.append(_create(self.server, "template0"))
                self._make(self._urls[-1])
                self._made_on = today
            return urlsplit(self._urls[-1]).path.removeprefix("/")

    def close(self) -> None:
        """Drop it."""
        for each in self._urls:
            _drop(self.server, each)


class ClonedDatabases:
    """
    Clones of a template database, one per test.

    While a test runs, another thread drops the previous test's clone and creates the next one. No
    such work is left when the test ends.
    """

    def __init__(self, template: DailyTemplate) -> None:
        self._template = template
        self._thread = ThreadPoolExecutor(1)
        self._next = self._thread.submit(self._create)
        self._used: str | None = None

    @contextmanager
    def database(self) -> Iterator[str]:
        """Yield the URL of a new clone; it is dropped during the next test."""
        cloned_on, url = self._next.result()
        if cloned_on != self._template.today():
            _drop(self._template.server, url)
            _, url = self._create()
        self._next = self._thread.submit(self._replace, self._used)
        self._used = url
        try:
            yield url
        finally:
            wait([self._next])

    def close(self) -> None:
        """Drop the remaining clones."""
        _, url = self._next.result()
        for each in (url, self._used):
            if each is not None:
                _drop(self._template.server, each)
        self._thread.shutdown()

    def _replace(self, used: str | None) -> tuple[date, str]:
        if used is not None:
            _drop(self._template.server, used)
        return self._create()

    def _create(self) -> tuple[date, str]:
        today = self._template.today()
        return today, _create(self._template.server, self._template.name())


def _create(server: str, template: str) -> str:
    name = f"webhookd_test_{secrets.token_hex(6)}"
    run_in_new_loop(_clone(server, name, template))
    return urlsplit(server)._replace(path=f"/{name}").geturl()


async def _clone(server: str, name: str, template: str) -> None:
    connection = await asyncpg.connect(server)
    try:
        # Copying files takes a third less than logging each page, and copies the catalog caches
        # too. PostgreSQL 14 always does.
        strategy = "STRATEGY file_copy" if connection.get_server_version().major >= 15 else ""
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} {strategy}")
    finally:
        await connection.close()


def _drop(server: str, url: str) -> None:
    name = urlsplit(url).path.removeprefix("/")
    run_in_new_loop(_execute(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


def _fast_logins(url: str) -> tuple[str, str]:
    """
    Return statements that store the superuser's password anew, hashed once instead of 4096 times.

    Each login repeats that work, more than half of the CPU time of a connection.
    """
    login = urlsplit(url)
    return (
        # A setting of PostgreSQL 16 and later.
        "SELECT set_config(name, '1', false) FROM pg_settings WHERE name = 'scram_iterations'",
        f"ALTER ROLE {login.username} PASSWORD '{login.password}'",
    )


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def run_in_new_loop(coroutine: Coroutine[object, object, object]) -> None:
    """Run a coroutine on a new event loop; the thread's current loop stays as it is."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(coroutine)


async def most_rows_read(connection: asyncpg.Connection, query: str, *args: object) -> int:
    """
    Run a query under the daemon's planner settings, and roll it back.

    Returns the most rows that any node of its plan read from a table.
    """
    trial = connection.transaction()
    await trial.start()
    try:
        await connection.execute(PLANNING)
        explained = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", *args)
    finally:
        await trial.rollback()
    return int(max(_rows_read(orjson.loads(explained)[0]["Plan"])))


async def pages_read(connection: asyncpg.Connection, query: str, *args: object) -> int:
    """
    Run a query, and roll it back.

    Returns how many pages it read; the same page may count several times.
    """
    trial = connection.transaction()
    await trial.start()
    try:
        explain = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)"
        explained = await connection.fetchval(f"{explain} {query}", *args)
    finally:
        await trial.rollback()
    plan = orjson.loads(explained)[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def _rows_read(node: dict[str, Any]) -> Iterator[float]:
    if "Relation Name" in node:
        removed = sum(count for name, count in node.items() if name.startswith("Rows Removed"))
        yield (node["Actual Rows"] + removed) * node["Actual Loops"]
    for inner in node.get("Plans", ()):
        yield from _rows_read(inner)
