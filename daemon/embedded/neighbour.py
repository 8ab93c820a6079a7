"""The server of another program of ours: where it answers, when one runs on a folder of data."""

import fcntl
from pathlib import Path
from urllib.parse import quote

from daemon.embedded.server import DATABASE, ROLE

# Lines of postmaster.pid (PostgreSQL's src/include/utils/pidfile.h), counted from 0.
PORT, STATUS = 3, 7


def running(data: Path) -> str | None:
    """
    The URL of the server that runs on the folder `data`; None when none does, or it is not ours.

    The kernel's word counts, as a pid file may be a dead server's: every process of PostgreSQL
    holds the lock on `alive`.
    """
    data = data.expanduser()
    try:
        lines = (data / "cluster" / "postmaster.pid").read_text().splitlines()
        password = (data / "password").read_text()
        if len(lines) <= STATUS or lines[STATUS].strip() != "ready" or not _alive(data):
            return None
    except OSError:
        return None
    return f"postgresql://{ROLE}:{quote(password, safe='')}@127.0.0.1:{int(lines[PORT])}/{DATABASE}"


def _alive(data: Path) -> bool:
    with (data / "alive").open() as file:
        try:
            # Shared: a rival that looks at the same time must not be taken for the server.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
