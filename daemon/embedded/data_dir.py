"""
The directory of the embedded PostgreSQL's data: private, and used by one process at a time.

It contains
- `cluster`: PostgreSQL's own data directory,
- `password`: the superuser's password,
- `pg_service.conf`: connection parameters for psql, while a server runs,
- `server.log` and `server.log.1`: the log of this start and of the one before,
- `lock`: locked by the process that uses the directory,
- `alive`: locked by every process of PostgreSQL, so that a new server can wait for the orphans of
  one that was killed,
- `socket`: a link to the temporary directory of the Unix socket.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO

from daemon.core.errors import EmbeddedPostgresError
from daemon.embedded.os_user import Account, inaccessible_part

ORPHANS_SECONDS = 30


def prepare_data_dir(data: Path, account: Account | None) -> Path:
    """
    Create the directory if it is missing; return its absolute path.

    Raises EmbeddedPostgresError if it belongs to another user, contains other files, or is out of
    the reach of `account`: the permissions of its parents are not ours to change.
    """
    data = data.expanduser().resolve()
    for directory in reversed([data, *data.parents]):
        if not directory.exists():
            directory.mkdir(exist_ok=True)
            directory.chmod(0o711 if account else 0o700)
    if data.stat().st_uid != os.geteuid():
        raise EmbeddedPostgresError(f"{data} belongs to another user")
    if any(data.iterdir()) and not (data / "lock").exists():
        raise EmbeddedPostgresError(
            f"{data} is not empty, and its content is not an embedded PostgreSQL's data"
        )
    if account:
        data.chmod(0o711)
    if part := inaccessible_part(data, account):
        raise EmbeddedPostgresError(
            f"PostgreSQL runs as the user nobody when we are root, who cannot enter {part}: "
            f"its data cannot be in {data}"
        )
    return data


def open_private(path: Path, mode: str) -> IO[str]:
    """Open a file that only we can read, from its creation on: others may enter the directory."""
    return open(path, mode, opener=lambda name, flags: os.open(name, flags, 0o600))


@contextmanager
def exclusive_lock(data: Path) -> Iterator[None]:
    """Lock the directory. Raises EmbeddedPostgresError naming the process that holds the lock."""
    with open_private(data / "lock", "a+") as file:
        if not _try_lock(file.fileno()):
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise EmbeddedPostgresError(
                f"{data} is in use by another webhookd (process {holder}): "
                "to share one database, give both its database.url"
            )
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


@asynccontextmanager
async def alive_lock(data: Path) -> AsyncIterator[int]:
    """
    Wait until no process of an earlier PostgreSQL lives; yield the locked file for the next one.

    Child processes inherit the lock, and the kernel releases it when the last of them is gone.
    Raises EmbeddedPostgresError if orphans are still alive after ORPHANS_SECONDS.
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
