"""
Starts PostgreSQL and stops it: at most one on a folder of data, and none that outlives us.
"""

import asyncio
import os
import secrets
import shutil
import socket
import tempfile
from asyncio.subprocess import Process
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from daemon.core.errors import EmbeddedPostgresError
from daemon.embedded import binaries, cluster
from daemon.embedded.launch import Account, Launch, account_of_server, barrier, end

ROLE = DATABASE = "webhookd"
DEFAULTS = {"timezone": "UTC", "log_timezone": "UTC", "password_encryption": "scram-sha-256"}
START_SECONDS = 120  # recovery after a crash may replay much
PORT_ATTEMPTS = 20
SERVICE_FILE = "pg_service.conf"
SOCKET_PATH_BYTES = 107


class EmbeddedPostgres:
    """
    A running server, to be stopped before its event loop closes.

    `url` is the superuser's, over TCP on 127.0.0.1; `pid` the postmaster's; `socket_dir` holds its
    unix socket, for `psql -h`; `log` is the server's own.
    """

    def __init__(self, process: Process, plan: "_Plan", port: int, held: ExitStack) -> None:
        self.pid = process.pid
        self.port = port
        self.url = f"postgresql://{ROLE}:{plan.password}@127.0.0.1:{port}/{DATABASE}"
        self.socket_dir = plan.sockets
        self.log = plan.log
        self._process = process
        self._held = held

    async def wait(self) -> int:
        """Return the exit code when the server has ended, by itself or by `stop`."""
        return await self._process.wait()

    async def stop(self) -> None:
        """Stop it in at most half a minute; does nothing when it has ended already."""
        try:
            await end(self._process)
        finally:
            self._held.close()


@dataclass(frozen=True, slots=True)
class _Plan:
    """All that a start needs, except the port, which may turn out to be taken."""

    launch: Launch
    postgres: Path
    data: Path
    sockets: Path
    password: str
    settings: Mapping[str, str]

    @property
    def log(self) -> Path:
        return self.data / "server.log"

    def command(self, port: int) -> list[str]:
        options = {
            **self.settings,
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": str(self.sockets),
        }
        given = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return [str(self.postgres), "-D", str(self.data / "cluster"), *given]


def default_data_dir() -> Path:
    """Where the data lies unless said otherwise: the system's place for root, else the user's."""
    if os.geteuid() == 0:
        return Path("/var/lib/penguinmails-webhooks/postgres")
    base = Path(os.environ.get("XDG_DATA_HOME", ""))
    if not base.is_absolute():  # which the XDG specification says to ignore
        base = Path("~/.local/share").expanduser()
    return base / "penguinmails-webhooks" / "postgres"


async def start(
    data: Path,
    *,
    settings: Mapping[str, str] | None = None,
    bin_dir: Path | None = None,
    port: int | None = None,
) -> EmbeddedPostgres:
    """
    Start PostgreSQL on the folder `data`, made when missing, and return when it answers.

    `settings` are PostgreSQL's own, such as max_connections; `bin_dir` holds `postgres` and
    `initdb`; `port` asks for that very port, else a free one is chosen. The server ends with the
    calling thread, so call this on the main one. Raises EmbeddedPostgresError.
    """
    with ExitStack() as held:
        try:
            account = account_of_server()
            data = cluster.own_folder(data, account)
            held.enter_context(cluster.locked(data))
            sockets = held.enter_context(_socket_folder(data, account))
            held.callback((data / SERVICE_FILE).unlink, missing_ok=True)
            async with cluster.after_orphans(data) as alive:
                plan = await _prepare(Launch(account, alive), data, sockets, settings, bin_dir)
                process, port = await _serve(plan, port)
        except OSError as error:
            why = f"{error.filename}: {error.strerror}" if error.filename else error
            raise EmbeddedPostgresError(f"PostgreSQL cannot be started: {why}") from error
        return EmbeddedPostgres(process, plan, port, held.pop_all())


@contextmanager
def _socket_folder(data: Path, account: Account | None) -> Iterator[Path]:
    """
    A short private folder, removed at the end; the link `socket` beside the data leads to it.

    By that link the next start finds and removes the folder of a server that was killed.
    """
    link = data / "socket"
    if link.is_symlink():
        shutil.rmtree(link.readlink(), ignore_errors=True)
        link.unlink()
    folder = Path(tempfile.mkdtemp(prefix="webhookd-", dir=_short_folder(account)))
    try:
        link.symlink_to(folder)
        if account:
            os.chown(folder, account.uid, account.gid)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        link.unlink(missing_ok=True)


def _short_folder(account: Account | None) -> Path:
    for folder in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - mkdtemp makes it safe
        longest = folder / "webhookd-12345678" / ".s.PGSQL.65535"
        if len(os.fsencode(longest)) <= SOCKET_PATH_BYTES and not barrier(folder, account):
            return folder
    raise EmbeddedPostgresError("No temporary folder is fit for PostgreSQL's socket: set TMPDIR")


async def _prepare(
    launch: Launch,
    data: Path,
    sockets: Path,
    settings: Mapping[str, str] | None,
    bin_dir: Path | None,
) -> _Plan:
    """Find the programs and make the cluster if there is none."""
    found = await binaries.find(bin_dir, major=cluster.version_of(data))
    programs = binaries.within_reach(found, launch.account, keep=data)
    chosen = {**DEFAULTS, **(settings or {})}
    password = cluster.password_of(data)
    if cluster.version_of(data) is None:
        sync = chosen.get("fsync") != "off"
        await cluster.make(launch, programs / "initdb", data, ROLE, sync=sync)
    cluster.forget_stranger(data)
    return _Plan(launch, programs / "postgres", data, sockets, password, chosen)


async def _serve(plan: _Plan, wanted: int | None) -> tuple[Process, int]:
    """Start the server on the port `wanted`, or on one that is free and still is when it comes."""
    if plan.log.exists():
        plan.log.replace(plan.log.with_suffix(".log.1"))
    for _ in range(PORT_ATTEMPTS):
        port = wanted or _free_port()
        if process := await _try_port(plan, port):
            return process, port
        if "could not bind" not in plan.log.read_text(errors="replace"):
            raise EmbeddedPostgresError(
                f"PostgreSQL did not start: {cluster.last_words(plan.log)} (see {plan.log})"
            )
        if wanted:
            await asyncio.sleep(0.25)  # whoever has it may be about to leave
    raise EmbeddedPostgresError(f"PostgreSQL's port {port} is taken by another program")


async def _try_port(plan: _Plan, port: int) -> Process | None:
    """A server that answers; None if it has ended instead."""
    with cluster.open_private(plan.log, "w") as output:
        process = await plan.launch.start(plan.command(port), output)
    try:
        if await _answers(process, plan, port):
            _write_service(plan, port)
            return process
    except BaseException:
        await end(process)
        raise
    return None


def _write_service(plan: _Plan, port: int) -> None:
    """`PGSERVICEFILE=… psql service=webhookd` connects, and no password is among arguments."""
    address = f"host=127.0.0.1\nport={port}\ndbname={DATABASE}\n"
    with cluster.open_private(plan.data / SERVICE_FILE, "w") as file:
        file.write(f"[{DATABASE}]\n{address}user={ROLE}\npassword={plan.password}\n")


def _free_port() -> int:
    """
    A free port below those that the kernel gives to outgoing connections.

    Within that range a client that calls a server which is just restarting can, by chance, be
    connected to itself, and so take the port away.
    """
    while True:
        port = 10_240 + secrets.randbelow(32_768 - 10_240)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


async def _answers(process: Process, plan: _Plan, port: int) -> bool:
    """Wait until the server answers, then True; False if it has ended instead."""
    try:
        async with asyncio.timeout(START_SECONDS):
            while process.returncode is None:
                if await _has_database(plan, port):
                    return True
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise EmbeddedPostgresError(
            f"PostgreSQL did not answer within {START_SECONDS} s: see {plan.log}"
        ) from None
    except asyncpg.PostgresError as error:
        raise EmbeddedPostgresError(f"PostgreSQL in {plan.data} refuses us: {error}") from error
    return False


async def _has_database(plan: _Plan, port: int) -> bool:
    """Make our database if it is missing; False if the server does not answer yet."""
    try:
        await _execute(plan, port, DATABASE, "SELECT 1")
    except asyncpg.InvalidCatalogNameError:
        await _execute(plan, port, "postgres", f"CREATE DATABASE {DATABASE}")
    except (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
        return False
    return True


async def _execute(plan: _Plan, port: int, database: str, query: str) -> None:
    """Ask over the unix socket, which is surely this server's, as a port may not be."""
    connection = await asyncpg.connect(
        host=str(plan.sockets), port=port, user=ROLE, password=plan.password, database=database
    )
    try:
        await connection.execute(query)
    finally:
        await connection.close()
