"""Find the embedded PostgreSQL that another process of this program is running."""

import fcntl
from pathlib import Path

from daemon.embedded.connection import server_url

# Lines of postmaster.pid (PostgreSQL's src/include/utils/pidfile.h), counted from 0.
PORT, STATUS = 3, 7


def running_url(data: Path) -> str | None:
    """
    Return the URL of the server that runs on `data`; None if there is none or it is not ours.

    The file `postmaster.pid` may be left over from a dead server. The kernel's lock on the file
    `alive` is reliable: every process of PostgreSQL holds it.
    """
    data = data.expanduser()
    try:
        lines = (data / "cluster" / "postmaster.pid").read_text().splitlines()
        password = (data / "password").read_text()
        if len(lines) <= STATUS or lines[STATUS].strip() != "ready" or not _is_alive(data):
            return None
    except OSError:
        return None
    return server_url(int(lines[PORT]), password)


def _is_alive(data: Path) -> bool:
    with (data / "alive").open() as file:
        try:
            # Shared: a concurrent caller of this function must not be mistaken for the server.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
