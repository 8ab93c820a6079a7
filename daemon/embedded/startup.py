"""Start the server process on a free port, and wait until it answers."""

import asyncio
from asyncio.subprocess import Process
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from daemon.core.errors import EmbeddedPostgresError
from daemon.embedded.connection import DATABASE, ROLE
from daemon.embedded.data_dir import open_private
from daemon.embedded.launch import Launch, stop_process
from daemon.embedded.ports import free_port
from daemon.embedded.server_log import failure_reason

START_SECONDS = 120  # recovery after a crash may replay much WAL
PORT_ATTEMPTS = 20
SERVICE_FILE = "pg_service.conf"


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """Everything that starting the server needs, except for the port."""

    launch: Launch
    postgres: Path
    data: Path
    sockets: Path
    password: str
    settings: Mapping[str, str]

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.data / "server.log"

    def command(self, port: int) -> list[str]:
        """Return the command line; the caller's settings cannot open it to the network."""
        settings = {
            **self.settings,
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": str(self.sockets),
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(self.postgres), "-D", str(self.data / "cluster"), *options]


async def start_server(spec: ServerSpec, requested_port: int | None) -> tuple[Process, int]:
    """
    Start the server on the requested port or a free one; return the process and its port.

    A port may be taken between its choice and the start: then another is tried. Raises
    EmbeddedPostgresError.
    """
    if spec.log.exists():
        spec.log.replace(spec.log.with_suffix(".log.1"))
    for _ in range(PORT_ATTEMPTS):
        port = requested_port or free_port()
        if process := await _start_on(spec, port):
            return process, port
        if "could not bind" not in spec.log.read_text(errors="replace"):
            raise EmbeddedPostgresError(
                f"PostgreSQL did not start: {failure_reason(spec.log)} (see {spec.log})"
            )
        if requested_port:
            await asyncio.sleep(0.25)  # the program that has the port may be about to release it
    raise EmbeddedPostgresError(f"PostgreSQL's port {port} is taken by another program")


async def _start_on(spec: ServerSpec, port: int) -> Process | None:
    """Return the process once it answers; None if it has ended instead."""
    with open_private(spec.log, "w") as output:
        process = await spec.launch.start(spec.command(port), output)
    try:
        if await _answers(process, spec, port):
            _write_service_file(spec, port)
            return process
    except BaseException:
        await stop_process(process)
        raise
    return None


def _write_service_file(spec: ServerSpec, port: int) -> None:
    """Let `PGSERVICEFILE=… psql service=webhookd` connect without a password in its arguments."""
    address = f"host=127.0.0.1\nport={port}\ndbname={DATABASE}\n"
    with open_private(spec.data / SERVICE_FILE, "w") as file:
        file.write(f"[{DATABASE}]\n{address}user={ROLE}\npassword={spec.password}\n")


async def _answers(process: Process, spec: ServerSpec, port: int) -> bool:
    """Wait until the server answers and return True; return False if it has ended instead."""
    try:
        async with asyncio.timeout(START_SECONDS):
            while process.returncode is None:
                if await _has_database(spec, port):
                    return True
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise EmbeddedPostgresError(
            f"PostgreSQL did not answer within {START_SECONDS} s: see {spec.log}"
        ) from None
    except asyncpg.PostgresError as error:
        raise EmbeddedPostgresError(f"PostgreSQL in {spec.data} refuses us: {error}") from error
    return False


async def _has_database(spec: ServerSpec, port: int) -> bool:
    """Create our database if it is missing; return False if the server does not answer yet."""
    try:
        await _execute(spec, port, DATABASE, "SELECT 1")
    except asyncpg.InvalidCatalogNameError:
        await _execute(spec, port, "postgres", f"CREATE DATABASE {DATABASE}")
    except (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
        return False
    return True


async def _execute(spec: ServerSpec, port: int, database: str, query: str) -> None:
    """Run a query over the Unix socket, which is certainly this server's; the port may not be."""
    connection = await asyncpg.connect(
        host=str(spec.sockets), port=port, user=ROLE, password=spec.password, database=database
    )
    try:
        await connection.execute(query)
    finally:
        await connection.close()
