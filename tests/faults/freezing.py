"""Freezing of processes with SIGSTOP, at a chosen moment of their transactions."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

from tests.faults.environment import Environment
from tests.support.daemons import Daemon, until

LOCKING = "FOR NO KEY UPDATE"
IDLE = "idle in transaction: "

OPEN_STATEMENTS = """
    SELECT state || ': ' || query AS statement FROM pg_stat_activity
     WHERE datname = current_database() AND application_name LIKE 'webhookd%' AND state <> 'idle'
"""


async def freeze_in_transaction(env: Environment, daemon: Daemon) -> None:
    """SIGSTOP the daemon when its only transaction is idle, and has just locked endpoints."""

    def fits(statements: list[str]) -> bool:
        # One that is active has been prepared, and waits for its values without a limit of time.
        return [LOCKING in each for each in statements if each.startswith(IDLE)] == [True]

    await freeze_when(env, daemon, lambda statements: len(statements) == 1 and fits(statements))


async def freeze_between_transactions(env: Environment, daemon: Daemon) -> None:
    """SIGSTOP the daemon when it holds no lock, but has requests in flight."""
    await freeze_when(env, daemon, lambda statements: not statements and env.receiver.open_now > 0)


async def freeze_when(env: Environment, daemon: Daemon, fits: Callable[[list[str]], bool]) -> None:
    """SIGSTOP the daemon, repeatedly, until the last statements of its open transactions fit."""
    async with env.application() as app:

        async def open_statements() -> list[str]:
            return [row["statement"] for row in await app.db.fetch(OPEN_STATEMENTS)]

        async def frozen_at_fit() -> bool:
            os.kill(daemon.process.pid, signal.SIGSTOP)
            await until(lambda: psutil.Process(daemon.process.pid).status() == "stopped")
            if fits(await open_statements()):
                await asyncio.sleep(0.05)  # statements that were already sent are executed by now
                if fits(await open_statements()):
                    return True
            os.kill(daemon.process.pid, signal.SIGCONT)
            return False

        await until(frozen_at_fit, every=0.003)


def resume(daemon: Daemon) -> None:
    """Let a frozen daemon go on."""
    daemon.process.send_signal(signal.SIGCONT)


@contextmanager
def frozen_server(postmaster: int) -> Iterator[None]:
    """Freeze PostgreSQL with all its processes during the block."""
    os.kill(postmaster, signal.SIGSTOP)  # first, so that it starts no more processes
    pids = [postmaster, *(child.pid for child in psutil.Process(postmaster).children())]
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
