"""
The PostgreSQL servers that are measured, and the databases in them.

They have PostgreSQL's own settings, durability included, except that checkpoints are far apart, so
that none falls into some rounds and not into others.
"""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from daemon import embedded
from daemon.core.errors import EmbeddedPostgresError
from tests.bench.variants import Variant, migrate

SYSTEM = Path("/usr/lib/postgresql")
SETTINGS = {"max_connections": "200", "checkpoint_timeout": "1d", "max_wal_size": "16GB"}
# Loaded only to count statements in databases that ask for it; nothing is counted elsewhere.
STATEMENTS = {
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track": "none",
}
COMMAND_SECONDS = 600.0

Seed = Callable[[asyncpg.Connection], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; `counts_statements` says whether it has pg_stat_statements."""

    name: str
    url: str
    pid: int
    version: int
    counts_statements: bool

    def database(self, name: str) -> str:
        """Return the URL of a database."""
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    async def execute(self, statement: str, *, database: str | None = None) -> None:
        """Run a statement in a database, or in the superuser's."""
        url = self.url if database is None else self.database(database)
        connection = await asyncpg.connect(url, command_timeout=COMMAND_SECONDS)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


def system_binaries() -> Path | None:
    """Return the directory of the system's newest PostgreSQL, None if there is none."""
    found = [path for path in SYSTEM.glob("*/bin") if (path / "initdb").exists()]
    return max(found, key=lambda path: float(path.parent.name), default=None)


@asynccontextmanager
async def running_server(folder: Path, bin_dir: Path | None = None) -> AsyncIterator[Server]:
    """Run a server during the block: that of `bin_dir`, or else the one `webhookd run` embeds."""
    counts_statements = True
    try:
        server = await embedded.start(folder, settings=SETTINGS | STATEMENTS, bin_dir=bin_dir)
    except EmbeddedPostgresError:  # without that library it does not start
        counts_statements = False
        server = await embedded.start(folder, settings=SETTINGS, bin_dir=bin_dir)
    try:
        connection = await asyncpg.connect(server.url)
        # Debian adds its own version to it, in parentheses.
        version = (await connection.fetchval("SHOW server_version")).split()[0]
        await connection.close()
        major = int(version.partition(".")[0])
        yield Server(f"PostgreSQL {version}", server.url, server.pid, major, counts_statements)
    finally:
        await server.stop()


class Databases:
    """
    Databases of one server, cloned from templates: one for each variant and seed.

    A template is made when it is first needed, and its rows are vacuumed, so that autovacuum has no
    reason to run beside the measurements.
    """

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self._folder = folder
        self._templates: set[str] = set()

    @asynccontextmanager
    async def clone(
        self, variant: Variant, seed: Seed | None = None, *, seeded: str = "empty"
    ) -> AsyncIterator[str]:
        """Yield the URL of a migrated database with the rows of `seed`, whose name is `seeded`."""
        template = await self._template(variant, seed, seeded)
        name = f"bench_{secrets.token_hex(6)}"
        await self._copy(name, template, is_large=seed is not None)
        try:
            yield self.server.database(name)
        finally:
            await self._drop(name)

    async def _template(self, variant: Variant, seed: Seed | None, seeded: str) -> str:
        name = f"{variant.name}_{seeded}"
        if name in self._templates:
            return name
        await self._drop(name)  # that of an attempt that failed
        if seed is None:
            await self.server.execute(f'CREATE DATABASE "{name}"')
            await migrate(variant, self.server.database(name), self._folder)
            if self.server.counts_statements:
                await self.server.execute("CREATE EXTENSION pg_stat_statements", database=name)
        else:
            await self._copy(name, await self._template(variant, None, "empty"), is_large=False)
            await self._seed(name, seed)
        self._templates.add(name)
        return name

    async def _seed(self, name: str, seed: Seed) -> None:
        async with AsyncExitStack() as stack:
            connection = await asyncpg.connect(
                self.server.database(name), command_timeout=COMMAND_SECONDS
            )
            stack.push_async_callback(connection.close)
            await seed(connection)
            await connection.execute("VACUUM (ANALYZE)")

    async def _copy(self, name: str, template: str, *, is_large: bool) -> None:
        # Copying the files of a large one is quicker, but takes checkpoints: after those, the
        # write-ahead log has whole pages.
        strategy = "STRATEGY file_copy" if is_large and self.server.version >= 15 else ""
        await self.server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" {strategy}')

    async def _drop(self, name: str) -> None:
        await self.server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
