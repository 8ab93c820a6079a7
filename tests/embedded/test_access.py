"""Access to the embedded server: password, service file, socket, and its user."""

import asyncio
import os
import pwd
import subprocess
from pathlib import Path

import asyncpg
import psutil
import pytest

from daemon import embedded
from daemon.core.errors import EmbeddedPostgresError
from daemon.embedded import binaries
from tests.embedded.processes import as_root, mode, query, running


async def test_only_the_password_gives_access_and_only_we_can_read_it(data: Path) -> None:
    async with running(data) as started:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await query(
                f"postgresql://webhookd:wrong@127.0.0.1:{started.port}/webhookd", "SELECT 1"
            )
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(
                host=str(started.socket_dir), port=started.port, user="webhookd", password="wrong"
            )

        assert (data / "password").read_text() in started.url
        assert mode(data / "password") == mode(data / "server.log") == mode(data / "lock") == 0o600
        assert mode(started.socket_dir) == 0o700


async def test_psql_connects_with_a_private_service_file_while_the_server_runs(data: Path) -> None:
    psql = (await binaries.find_binaries(None, major=None)) / "psql"
    file = data / "pg_service.conf"

    async with running(data):
        command = [str(psql), "service=webhookd", "-Atc", "SELECT current_user"]
        result = await asyncio.to_thread(
            subprocess.run,
            command,
            env={"PGSERVICEFILE": str(file)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert mode(file) == 0o600

    assert (result.stdout, result.stderr) == ("webhookd\n", "")
    assert not file.exists()


async def test_the_socket_s_path_is_short_however_long_the_data_s_path_is(
    directory: Path,
) -> None:
    deep = directory / ("d" * 120) / "postgres"

    async with running(deep) as started:
        connection = await asyncpg.connect(
            host=str((deep / "socket").readlink()),
            port=started.port,
            user="webhookd",
            password=(deep / "password").read_text(),
        )
        await connection.close()

        assert len(str(started.socket_dir)) < 80


@as_root
async def test_as_root_the_server_runs_as_nobody_who_owns_only_the_cluster(directory: Path) -> None:
    async with running(directory / "postgres") as started:
        process = psutil.Process(started.pid)

        assert process.uids().effective == pwd.getpwnam("nobody").pw_uid
        assert os.getgroups() == [] or process.gids().effective == pwd.getpwnam("nobody").pw_gid
        assert (directory / "postgres" / "cluster").owner() == "nobody"
        assert (directory / "postgres" / "password").owner() == "root"
        assert mode(directory) == 0o711


@as_root
async def test_as_root_a_directory_that_nobody_cannot_enter_is_refused_and_stays_closed(
    directory: Path,
) -> None:
    closed = directory / "closed"
    closed.mkdir(0o700)

    with pytest.raises(EmbeddedPostgresError, match=f"nobody .*cannot enter {closed}:"):
        await embedded.start(closed / "postgres")

    assert mode(closed) == 0o700
