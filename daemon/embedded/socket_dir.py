"""The temporary directory of the Unix socket, whose path must be short."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daemon.core.errors import EmbeddedPostgresError
from daemon.embedded.os_user import Account, inaccessible_part

SOCKET_PATH_BYTES = 107  # sockaddr_un.sun_path, less the final zero


@contextmanager
def socket_dir(data: Path, account: Account | None) -> Iterator[Path]:
    """
    Yield a short private directory, removed at the end; the link `socket` in `data` points to it.

    By that link the next start finds and removes the directory of a server that was killed.
    Raises EmbeddedPostgresError if no temporary directory has a path short enough.
    """
    link = data / "socket"
    if link.is_symlink():
        shutil.rmtree(link.readlink(), ignore_errors=True)
        link.unlink()
    directory = Path(tempfile.mkdtemp(prefix="webhookd-", dir=_short_parent(account)))
    try:
        link.symlink_to(directory)
        if account:
            os.chown(directory, account.uid, account.gid)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        link.unlink(missing_ok=True)


def _short_parent(account: Account | None) -> Path:
    for parent in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - mkdtemp makes it safe
        longest = os.fsencode(parent / "webhookd-12345678" / ".s.PGSQL.65535")
        if len(longest) <= SOCKET_PATH_BYTES and not inaccessible_part(parent, account):
            return parent
    raise EmbeddedPostgresError("No temporary directory suits PostgreSQL's socket: set TMPDIR")
