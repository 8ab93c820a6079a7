"""PgBouncer before the tests' PostgreSQL, as an ordinary process on loopback."""

import asyncio
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg
import pytest

from tests.support.daemons import free_port, until
from tests.support.postgres import folder_for_postgres

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
needs_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")

SETTINGS = """
[databases]
{name} = host={host} port={port} dbname={target}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
pool_mode = {mode}
default_pool_size = {size}
auth_type = trust
auth_file = {users}
"""


class Pooler:
    """A PgBouncer before one database; `url` leads there through it."""

    def __init__(self, database: str, folder: Path, *, mode: str, size: int) -> None:
        parts = urlsplit(database)
        self._settings = folder / "pgbouncer.ini"
        self._users = folder / "users.txt"
        self._users.write_text(f'"{parts.username}" "{unquote(parts.password or "")}"\n')
        self._port = free_port()
        self._to = {"host": parts.hostname, "port": parts.port}
        self._pool = {"mode": mode, "size": size, "name": parts.path.removeprefix("/")}
        self._process: Process | None = None
        self.url = parts._replace(netloc=f"{parts.username}@127.0.0.1:{self._port}").geturl()
        self._write(target=parts.path.removeprefix("/"))

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        assert PROGRAM is not None
        # It refuses to run as root.
        drop = ["-u", "nobody"] if os.geteuid() == 0 else []
        self._process = await asyncio.create_subprocess_exec(
            *(PROGRAM, "-q", *drop, str(self._settings)), stdin=DEVNULL, stdout=DEVNULL
        )
        await until(lambda: _answers(self.url, self._running))

    def lead_to(self, name: str) -> None:
        """Lead the next transactions to another database, and end no client's connection."""
        self._write(target=name)
        self._running.send_signal(signal.SIGHUP)

    async def stop(self) -> None:
        """Kill it, if it was started."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()

    @property
    def _running(self) -> Process:
        assert self._process is not None
        return self._process

    def _write(self, *, target: str) -> None:
        text = SETTINGS.format(
            **(self._to | self._pool), target=target, own_port=self._port, users=self._users
        )
        self._settings.write_text(text)


@asynccontextmanager
async def pooler(database: str, mode: str, *, size: int = 3) -> AsyncIterator[Pooler]:
    """Run PgBouncer in a mode, with so many sessions of PostgreSQL."""
    with folder_for_postgres() as folder:
        made = Pooler(database, folder, mode=mode, size=size)
        try:
            await made.start()
            yield made
        finally:
            await made.stop()


@asynccontextmanager
async def pooling(database: str, mode: str, *, size: int = 3) -> AsyncIterator[str]:
    """Run PgBouncer likewise; yield the URL through it."""
    async with pooler(database, mode, size=size) as running:
        yield running.url


async def _answers(url: str, process: Process) -> bool:
    assert process.returncode is None, "pgbouncer has ended"
    try:
        connection = await asyncpg.connect(url, statement_cache_size=0)
    except OSError:
        return False
    connection.terminate()
    return True
