"""
Whom PostgreSQL runs as, how its programs begin and how they end.

PostgreSQL refuses to run as root, so root starts it as `nobody`, who must be able to reach it.
"""

import asyncio
import os
import pwd
import stat
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGQUIT
from typing import IO

from daemon.core.errors import EmbeddedPostgresError
from daemon.embedded import child

# Shutdown fast, then immediate, then none of its own choice; and the seconds each may take.
ENDING = ((SIGINT, 15), (SIGQUIT, 7), (SIGKILL, 5))


@dataclass(frozen=True, slots=True)
class Account:
    """The user whom PostgreSQL runs as when that is not us."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a program of PostgreSQL: as whom, and what file it holds open while it lives."""

    account: Account | None
    alive: int

    async def start(self, command: Sequence[str], output: IO[str]) -> Process:
        """
        Start `command`, which ends when we do, with all it prints going to `output`.

        It gets a session of its own, lest a person's Ctrl-C stop the database before its clients,
        and nothing of our environment, whose secrets and locale are not its business.
        """
        account = self.account or Account(0, 0)
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-S", child.__file__),
            *(str(number) for number in (os.getpid(), account.uid, account.gid)),
            *command,
            stdin=DEVNULL,
            stdout=output,
            stderr=STDOUT,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            start_new_session=True,
            pass_fds=(self.alive,),
        )


async def end(process: Process) -> None:
    """End the server in bounded time, more harshly the longer it takes."""
    for number, seconds in ENDING:
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(number)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), seconds)


def account_of_server() -> Account | None:
    """`nobody` if we are root, else None: PostgreSQL then runs as who we are."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedPostgresError(
            "PostgreSQL does not run as root, and this system has no user nobody to run it as"
        ) from None
    return Account(entry.pw_uid, entry.pw_gid)


def barrier(path: Path, account: Account | None) -> Path | None:
    """The first of `path` and the folders above it that `account` cannot enter or run, if any."""
    if account is None:
        return None
    for step in reversed([path, *path.parents]):
        found = step.stat()
        if found.st_uid == account.uid:
            needed = stat.S_IXUSR
        elif found.st_gid == account.gid:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not found.st_mode & needed:
            return step
    return None
