"""A primary and a streaming standby of Debian's PostgreSQL, as processes on loopback."""

import asyncio
import os
import secrets
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL

import asyncpg
import pytest

from daemon.embedded.os_user import server_account
from tests.support.daemons import free_port, until
from tests.support.postgres import FAST_SETTINGS, folder_for_postgres

PROGRAMS = ("initdb", "pg_ctl", "pg_basebackup", "pg_dump", "pg_restore")
USER = "webhookd"


def programs() -> Path | None:
    """The folder of the newest PostgreSQL of Debian that has all PROGRAMS."""
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: int(each.parent.name)
    )
    complete = [each for each in folders if all((each / name).exists() for name in PROGRAMS)]
    return complete[-1] if complete else None


BIN = programs()
needs_server_programs = pytest.mark.skipif(
    BIN is None, reason="Debian's postgresql package, with pg_basebackup, is not installed"
)


async def run(*command: str | Path) -> None:
    """Run one of PostgreSQL's programs as the user that may run the server."""
    assert BIN is not None
    await run_as_server(BIN / command[0], *command[1:])


async def run_as_server(*command: str | Path, **variables: str) -> None:
    """Run a program as the user that may run the server, with PostgreSQL's programs found first."""
    assert BIN is not None
    account = server_account()
    done = await asyncio.to_thread(
        subprocess.run,  # uvloop cannot start a process as another user
        command,
        check=False,
        stdin=DEVNULL,
        stdout=DEVNULL,
        cwd="/",
        env={"PATH": f"{BIN}:{os.environ['PATH']}", **variables},
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )
    assert done.returncode == 0, command


@dataclass(frozen=True, slots=True)
class Server:
    """A server in `data` that listens on `port`; its superuser needs no password."""

    data: Path
    port: int

    @property
    def host(self) -> str:
        """The host and port, as in a URL."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The URL of its one database."""
        return f"postgresql://{USER}@{self.host}/postgres"

    async def start(self, **settings: str) -> None:
        """Start it with more settings, and wait until it accepts connections."""
        chosen = {"port": str(self.port), **settings}
        options = " ".join(f"-c {name}='{value}'" for name, value in chosen.items())
        log = self.data.parent / f"{self.data.name}.log"
        await run("pg_ctl", "-D", self.data, "-l", log, "-w", "-o", options, "start")

    async def stop(self, mode: str = "immediate") -> None:
        """Stop it; `immediate` is like a crash."""
        await run("pg_ctl", "-D", self.data, "-m", mode, "stop")

    async def promote(self) -> None:
        """Make a standby accept writes, and wait until it does."""
        await run("pg_ctl", "-D", self.data, "-w", "promote")

    async def standby(self, port: int | None = None) -> "Server":
        """Copy it into a standby that follows it, not yet started."""
        copy = Server(self.data.parent / f"copy-{secrets.token_hex(3)}", port or free_port())
        await run(
            *("pg_basebackup", "-R", "-X", "stream", "-c", "fast", "-D", copy.data),
            *("-d", f"host=127.0.0.1 port={self.port} user={USER} application_name=standby"),
        )
        return copy

    @property
    def runs(self) -> bool:
        """Whether it has been started and not stopped."""
        return (self.data / "postmaster.pid").exists()


@asynccontextmanager
async def servers_folder() -> AsyncIterator[Path]:
    """A folder for servers, all of which are stopped at its end."""
    with folder_for_postgres() as folder:
        if account := server_account():
            os.chown(folder, account.uid, account.gid)
        try:
            yield folder
        finally:
            for pid in folder.glob("*/postmaster.pid"):
                await Server(pid.parent, 0).stop()


async def new_server(folder: Path) -> Server:
    """Make a server without tables, not yet started."""
    server = Server(folder / "first", free_port())
    await run(
        "initdb", "-U", USER, "-A", "trust", "-N", "-E", "UTF8", "--locale=C", "-D", server.data
    )
    settings = FAST_SETTINGS | {
        "port": str(server.port),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
    }
    with (server.data / "postgresql.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
    return server


async def follows(primary: asyncpg.Connection) -> bool:
    """Whether a standby acknowledges what this server commits."""
    found: bool = await primary.fetchval(
        "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))"
    )
    return found


@asynccontextmanager
async def replicated() -> AsyncIterator[tuple[Server, Server]]:
    """Run a primary, and a standby that has each commit before the primary acknowledges it."""
    async with servers_folder() as folder:
        primary = await new_server(folder)
        await primary.start()
        standby = await primary.standby()
        await standby.start()
        connection = await asyncpg.connect(primary.url)
        try:
            await connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            await connection.execute("SELECT pg_reload_conf()")
            await until(lambda: follows(connection))
        finally:
            await connection.close()
        yield primary, standby
