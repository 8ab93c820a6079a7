"""PgBouncer before the tests' PostgreSQL, as an ordinary process on loopback."""

import asyncio
import os
import shutil
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import unquote, urlsplit

import asyncpg
import pytest

from tests.support.daemons import free_port, until
from tests.support.postgres import folder_for_postgres

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
needs_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")

SETTINGS = """
[databases]
{name} = host={host} port={port} dbname={name}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
pool_mode = {mode}
default_pool_size = {size}
auth_type = trust
auth_file = {users}
"""


@asynccontextmanager
async def pooling(database: str, mode: str, *, size: int = 3) -> AsyncIterator[str]:
    """Run PgBouncer in a mode, with so many sessions of PostgreSQL; yield the URL through it."""
    assert PROGRAM is not None
    parts = urlsplit(database)
    port = free_port()
    with folder_for_postgres() as folder:
        users, settings = folder / "users.txt", folder / "pgbouncer.ini"
        users.write_text(f'"{parts.username}" "{unquote(parts.password or "")}"\n')
        text = SETTINGS.format(
            name=parts.path.removeprefix("/"),
            host=parts.hostname,
            port=parts.port,
            own_port=port,
            mode=mode,
            size=size,
            users=users,
        )
        settings.write_text(text)
        # It refuses to run as root.
        drop = ["-u", "nobody"] if os.geteuid() == 0 else []
        process = await asyncio.create_subprocess_exec(
            *(PROGRAM, "-q", *drop, str(settings)), stdin=DEVNULL, stdout=DEVNULL
        )
        try:
            url = parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}").geturl()
            await until(lambda: _answers(url, process))
            yield url
        finally:
            process.kill()
            await process.wait()


async def _answers(url: str, process: Process) -> bool:
    assert process.returncode is None, "pgbouncer has ended"
    try:
        connection = await asyncpg.connect(url, statement_cache_size=0)
    except OSError:
        return False
    connection.terminate()
    return True
