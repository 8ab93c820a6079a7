"""PostgreSQL's own data directory (the cluster) and the superuser's password: whole or absent."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGKILL

from daemon.core.errors import EmbeddedPostgresError
from daemon.embedded.data_dir import open_private
from daemon.embedded.launch import Launch
from daemon.embedded.os_user import Account
from daemon.embedded.server_log import failure_reason

# C.UTF-8 classifies letters beyond ASCII; C exists even where C.UTF-8 is missing.
LOCALES = ("C.UTF-8", "C")


def cluster_version(data: Path) -> int | None:
    """Return the major version of PostgreSQL that made the cluster; None if there is none yet."""
    file = data / "cluster" / "PG_VERSION"
    return int(file.read_text().split(".")[0]) if file.exists() else None


def superuser_password(data: Path) -> str:
    """
    Return the superuser's password, generated before the cluster is made.

    Raises EmbeddedPostgresError if the cluster exists but its password is missing.
    """
    file = data / "password"
    if not file.exists():
        if cluster_version(data):
            raise EmbeddedPostgresError(f"{file} is missing, and the data cannot be opened without")
        _write_password(file)
    return file.read_text()


async def create_cluster(
    launch: Launch, initdb: Path, data: Path, *, role: str, sync: bool
) -> None:
    """
    Run initdb in a directory beside the cluster's, which is renamed once it is complete.

    `sync` waits until the data is on disk. Raises EmbeddedPostgresError with initdb's reason.
    """
    with _staging_dir(data, launch.account) as staging:
        command = [
            *(str(initdb), "--pgdata", str(staging / "cluster"), "--username", role),
            *("--pwfile", str(staging / "password"), "--auth", "scram-sha-256"),
            *("--encoding", "UTF8", "--no-instructions"),
            *([] if sync else ["--no-sync"]),
        ]
        for locale in LOCALES:
            if await _succeeds(launch, [*command, "--locale", locale], staging / "log"):
                break
        else:
            reason = failure_reason(staging / "log")
            raise EmbeddedPostgresError(f"PostgreSQL's initdb failed: {reason}")
        (staging / "cluster").rename(data / "cluster")
    _fsync(data)


def remove_stale_pid_file(data: Path) -> None:
    """
    Remove a stale `postmaster.pid` whose process id now belongs to another program.

    PostgreSQL removes it when that process is gone, but takes any living process for a postmaster.
    A real postmaster's working directory is its cluster; its file stays and keeps us out.
    """
    file = data / "cluster" / "postmaster.pid"
    try:
        pid = int(file.read_text().split()[0])
        working_directory = os.readlink(f"/proc/{pid}/cwd")
    except (FileNotFoundError, ValueError, IndexError):
        return
    except PermissionError:  # another user's process, so not ours
        working_directory = ""
    if working_directory != str(data / "cluster"):
        file.unlink()


def _write_password(file: Path) -> None:
    part = file.with_suffix(".part")
    with open_private(part, "w") as output:
        output.write(secrets.token_urlsafe(24))
    _fsync(part)
    part.rename(file)


@contextmanager
def _staging_dir(data: Path, account: Account | None) -> Iterator[Path]:
    """Yield a directory for initdb with the password in it; remove those of killed starts."""
    for leftover in data.glob("initdb-*"):
        shutil.rmtree(leftover)
    # initdb's processes may still be dying; the next start removes what cannot be removed now.
    with tempfile.TemporaryDirectory(
        prefix="initdb-", dir=data, ignore_cleanup_errors=True
    ) as name:
        staging = Path(name)
        shutil.copy(data / "password", staging / "password")
        if account:
            os.chown(staging / "password", account.uid, account.gid)
            os.chown(staging, account.uid, account.gid)
        yield staging


async def _succeeds(launch: Launch, command: list[str], log: Path) -> bool:
    with open_private(log, "w") as output:
        process = await launch.start(command, output)
    try:
        return await process.wait() == 0
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, SIGKILL)  # also the servers that initdb runs
            await process.wait()


def _fsync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
