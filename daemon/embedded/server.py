"""The running server: at most one per data directory, and none that outlives this process."""

import os
from asyncio.subprocess import Process
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from daemon.core.errors import EmbeddedPostgresError
from daemon.embedded.binaries import accessible_binaries, find_binaries
from daemon.embedded.cluster import (
    cluster_version,
    create_cluster,
    remove_stale_pid_file,
    superuser_password,
)
from daemon.embedded.connection import ROLE, server_url
from daemon.embedded.data_dir import alive_lock, exclusive_lock, prepare_data_dir
from daemon.embedded.launch import Launch, stop_process
from daemon.embedded.os_user import server_account
from daemon.embedded.socket_dir import socket_dir
from daemon.embedded.startup import SERVICE_FILE, ServerSpec, start_server

DEFAULT_SETTINGS = {
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
}


class EmbeddedPostgres:
    """
    A running server; stop it before its event loop closes.

    `url` is the superuser's, over TCP on 127.0.0.1; `pid` is the postmaster's; `socket_dir` has its
    Unix socket, for `psql -h`; `log` is the server's log.
    """

    def __init__(self, process: Process, spec: ServerSpec, port: int, resources: ExitStack) -> None:
        self.pid = process.pid
        self.port = port
        self.url = server_url(port, spec.password)
        self.socket_dir = spec.sockets
        self.log = spec.log
        self._process = process
        self._resources = resources

    async def wait(self) -> int:
        """Wait until the server has ended, by itself or by `stop`; return its exit code."""
        return await self._process.wait()

    async def stop(self) -> None:
        """Stop the server within half a minute; do nothing if it has already ended."""
        try:
            await stop_process(self._process)
        finally:
            self._resources.close()


def default_data_dir() -> Path:
    """Return the default data directory: the system's for root, otherwise the user's (XDG)."""
    if os.geteuid() == 0:
        return Path("/var/lib/penguinmails-webhooks/postgres")
    base = Path(os.environ.get("XDG_DATA_HOME", ""))
    if not base.is_absolute():  # the XDG specification says to ignore a relative path
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
    Start PostgreSQL on the directory `data`, created if missing, and return once it answers.

    `settings` are PostgreSQL's own, such as max_connections; `bin_dir` contains `postgres` and
    `initdb`; without `port` a free one is chosen. The server ends with the calling thread, so call
    this on the main thread. Raises EmbeddedPostgresError.
    """
    with ExitStack() as resources:
        try:
            account = server_account()
            data = prepare_data_dir(data, account)
            resources.enter_context(exclusive_lock(data))
            sockets = resources.enter_context(socket_dir(data, account))
            resources.callback((data / SERVICE_FILE).unlink, missing_ok=True)
            async with alive_lock(data) as alive:
                spec = await _prepare(Launch(account, alive), data, sockets, settings, bin_dir)
                process, port = await start_server(spec, port)
        except OSError as error:
            why = f"{error.filename}: {error.strerror}" if error.filename else error
            raise EmbeddedPostgresError(f"PostgreSQL cannot be started: {why}") from error
        return EmbeddedPostgres(process, spec, port, resources.pop_all())


async def _prepare(
    launch: Launch,
    data: Path,
    sockets: Path,
    settings: Mapping[str, str] | None,
    bin_dir: Path | None,
) -> ServerSpec:
    """Find the programs, and create the cluster if there is none."""
    version = cluster_version(data)
    found = await find_binaries(bin_dir, major=version)
    binaries = accessible_binaries(found, launch.account, copy_to=data)
    chosen = {**DEFAULT_SETTINGS, **(settings or {})}
    password = superuser_password(data)
    if version is None:
        sync = chosen.get("fsync") != "off"
        await create_cluster(launch, binaries / "initdb", data, role=ROLE, sync=sync)
    remove_stale_pid_file(data)
    return ServerSpec(launch, binaries / "postgres", data, sockets, password, chosen)
