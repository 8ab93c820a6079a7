"""Start servers, query them, and look at their processes and files."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from daemon import embedded
from tests.support.postgres import FAST_SETTINGS

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="root alone changes users")
as_user = pytest.mark.skipif(os.geteuid() == 0, reason="nothing is denied to root")


@asynccontextmanager
async def running(
    data: Path, *, port: int | None = None, settings: Mapping[str, str] = FAST_SETTINGS
) -> AsyncIterator[embedded.EmbeddedPostgres]:
    started = await embedded.start(data, port=port, settings=settings)
    try:
        yield started
    finally:
        await started.stop()


async def query(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - it waits for another process
            await asyncio.sleep(0.005)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
