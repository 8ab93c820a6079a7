"""
The folder where PostgreSQL keeps its data: ours alone, whole or absent, used by one at a time.

It holds `cluster` (PostgreSQL's own), `password` (the superuser's), `pg_service.conf` (how psql
connects, while a server runs), `server.log` and the log before it, `lock` (held by the one who uses
the folder) and `alive` (held by every process of PostgreSQL, so that a new one can wait for the
orphans of one that was killed).
"""

import asyncio
import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from signal import SIGKILL
from typing import IO

from daemon.core.errors import EmbeddedPostgresError
from daemon.embedded.launch import Account, Launch, barrier

# C.UTF-8 knows the letters beyond ASCII; C is there even where that is missing.
LOCALES = ("C.UTF-8", "C")
ORPHANS_SECONDS = 30


def own_folder(data: Path, account: Account | None) -> Path:
    """
    Make the folder if it is missing; return its whole path.

    Refused is a folder of somebody else's, one with other things in it, and one that `account`
    cannot come to: the folders above are not ours to open.
    """
    data = data.expanduser().resolve()
    for folder in reversed([data, *data.parents]):
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            folder.chmod(0o711 if account else 0o700)
    if data.stat().st_uid != os.geteuid():
        raise EmbeddedPostgresError(f"{data} belongs to another user")
    if any(data.iterdir()) and not (data / "lock").exists():
        raise EmbeddedPostgresError(
            f"{data} is not empty, and what it holds is not an embedded PostgreSQL's data"
        )
    if account:
        data.chmod(0o711)
    if obstacle := barrier(data, account):
        raise EmbeddedPostgresError(
            f"PostgreSQL runs as the user nobody when we are root, who cannot enter {obstacle}: "
            f"its data cannot lie in {data}"
        )
    return data


def open_private(path: Path, mode: str) -> IO[str]:
    """Open a file that is ours alone from its first moment: the folder may be entered by others."""
    return open(path, mode, opener=lambda name, flags: os.open(name, flags, 0o600))


@contextmanager
def locked(data: Path) -> Iterator[None]:
    """Hold the folder; raises EmbeddedPostgresError, which names it, if another does."""
    with open_private(data / "lock", "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise EmbeddedPostgresError(
                f"{data} is in use by another webhookd (process {holder}): "
                "to share one database, give both its database.url"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


@asynccontextmanager
async def after_orphans(data: Path) -> AsyncIterator[int]:
    """
    Wait until no process of an earlier PostgreSQL lives; gives the file to hand to the next one.

    Processes inherit the lock, so the kernel lets go of it when the last of them is gone.
    """
    with open_private(data / "alive", "a") as file:
        try:
            async with asyncio.timeout(ORPHANS_SECONDS):
                while not _try_lock(file.fileno()):  # noqa: ASYNC110 - the kernel sets no Event
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise EmbeddedPostgresError(
                f"Processes of an earlier PostgreSQL still use {data} after {ORPHANS_SECONDS} s"
            ) from None
        yield file.fileno()


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def version_of(data: Path) -> int | None:
    """The major version of PostgreSQL that made the cluster; None if there is none yet."""
    mark = data / "cluster" / "PG_VERSION"
    return int(mark.read_text().split(".")[0]) if mark.exists() else None


def password_of(data: Path) -> str:
    """The superuser's password, which is made before the cluster is."""
    file = data / "password"
    if not file.exists():
        if version_of(data):
            raise EmbeddedPostgresError(f"{file} is missing, and the data is locked by it")
        part = file.with_suffix(".part")
        with open_private(part, "w") as made:
            made.write(secrets.token_urlsafe(24))
        _sync(part)
        part.rename(file)
    return file.read_text()


async def make(launch: Launch, initdb: Path, data: Path, role: str, *, sync: bool) -> None:
    """
    Make the cluster, in a folder beside it that is renamed when it is whole.

    `sync` waits until it is safe on the disk. Raises EmbeddedPostgresError with initdb's last line.
    """
    with _room(data, launch.account) as room:
        command = [
            *(str(initdb), "--pgdata", str(room / "cluster"), "--username", role),
            *("--pwfile", str(room / "password"), "--auth", "scram-sha-256"),
            *("--encoding", "UTF8", "--no-instructions"),
            *([] if sync else ["--no-sync"]),
        ]
        for locale in LOCALES:
            if await _runs_well(launch, [*command, "--locale", locale], room / "log"):
                break
        else:
            raise EmbeddedPostgresError(f"PostgreSQL's initdb failed: {last_words(room / 'log')}")
        (room / "cluster").rename(data / "cluster")
    _sync(data)


@contextmanager
def _room(data: Path, account: Account | None) -> Iterator[Path]:
    """A folder for initdb with the password in it; clears those of starts that were killed."""
    for leftover in data.glob("initdb-*"):
        shutil.rmtree(leftover)
    # What cannot be removed now, as its makers are only just dying, the next start removes.
    with tempfile.TemporaryDirectory(
        prefix="initdb-", dir=data, ignore_cleanup_errors=True
    ) as name:
        room = Path(name)
        shutil.copy(data / "password", room / "password")
        if account:
            os.chown(room / "password", account.uid, account.gid)
            os.chown(room, account.uid, account.gid)
        yield room


async def _runs_well(launch: Launch, command: list[str], log: Path) -> bool:
    with open_private(log, "w") as output:
        process = await launch.start(command, output)
    try:
        return await process.wait() == 0
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, SIGKILL)  # the servers that it runs, too
            await process.wait()


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def forget_stranger(data: Path) -> None:
    """
    Remove a stale `postmaster.pid` whose number another program bears by now.

    PostgreSQL does so itself when that process is gone, but takes a living one for a postmaster.
    A true one works in its cluster's folder, and is left to defend it.
    """
    mark = data / "cluster" / "postmaster.pid"
    try:
        pid = int(mark.read_text().split()[0])
        working_in = os.readlink(f"/proc/{pid}/cwd")
    except (FileNotFoundError, ValueError, IndexError):
        return
    except PermissionError:  # another user's, so not ours
        working_in = ""
    if working_in != str(data / "cluster"):
        mark.unlink()


def last_words(log: Path) -> str:
    """The line of a server's log that tells why it ended."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    for line in reversed(lines):
        for mark in ("FATAL:", "PANIC:", "error:"):
            if mark in line:
                return line.partition(mark)[2].strip()
    return lines[-1].strip() if lines else "it printed nothing"
