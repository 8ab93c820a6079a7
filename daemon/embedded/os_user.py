"""
The user that PostgreSQL runs as.

PostgreSQL refuses to run as root, so root starts it as `nobody`, who must be able to reach its
files.
"""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from daemon.core.errors import EmbeddedPostgresError


@dataclass(frozen=True, slots=True)
class Account:
    """A user and group to run PostgreSQL as, if not our own."""

    uid: int
    gid: int


def server_account() -> Account | None:
    """
    Return the account of `nobody` if we are root; otherwise None: PostgreSQL runs as our own user.

    Raises EmbeddedPostgresError if root has no `nobody` to run it as.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedPostgresError(
            "PostgreSQL does not run as root, and this system has no user nobody to run it as"
        ) from None
    return Account(entry.pw_uid, entry.pw_gid)


def inaccessible_part(path: Path, account: Account | None) -> Path | None:
    """Return the first of `path` and its parents that `account` cannot enter or execute, if any."""
    if account is None:
        return None
    for part in reversed([path, *path.parents]):
        if not _can_execute(part, account):
            return part
    return None


def _can_execute(path: Path, account: Account) -> bool:
    status = path.stat()
    if status.st_uid == account.uid:
        needed = stat.S_IXUSR
    elif status.st_gid == account.gid:
        needed = stat.S_IXGRP
    else:
        needed = stat.S_IXOTH
    return bool(status.st_mode & needed)
