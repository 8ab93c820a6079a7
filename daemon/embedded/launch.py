"""Start PostgreSQL's programs as child processes, and stop them."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from signal import SIGINT, SIGKILL, SIGQUIT
from typing import IO

from daemon.embedded import child_process
from daemon.embedded.os_user import Account

# PostgreSQL's fast shutdown, its immediate shutdown, then a kill, with the seconds given to each.
STOP_SIGNALS = ((SIGINT, 15), (SIGQUIT, 7), (SIGKILL, 5))


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start PostgreSQL's programs: the account, and the lock file they hold while alive."""

    account: Account | None
    alive: int

    async def start(self, command: Sequence[str], output: IO[str]) -> Process:
        """
        Start `command` with all its output going to `output`; it ends when this process ends.

        It gets a session of its own, so that Ctrl-C does not stop the database before its clients,
        and nothing of our environment, which may hold secrets and a locale that it lacks.
        """
        account = self.account or Account(0, 0)
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-S", child_process.__file__),
            *(str(number) for number in (os.getpid(), account.uid, account.gid)),
            *command,
            stdin=DEVNULL,
            stdout=output,
            stderr=STDOUT,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            start_new_session=True,
            pass_fds=(self.alive,),
        )


async def stop_process(process: Process) -> None:
    """Stop the server within the times of STOP_SIGNALS, escalating from one signal to the next."""
    for number, seconds in STOP_SIGNALS:
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(number)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), seconds)
