"""Starts after a crash, an interrupted start, or beside another server."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from daemon import embedded
from daemon.core.errors import EmbeddedPostgresError
from daemon.embedded import data_dir, startup
from daemon.embedded.os_user import server_account
from tests.embedded.processes import is_gone, query, running, until
from tests.support.postgres import FAST_SETTINGS


async def test_a_second_start_on_the_same_directory_is_refused(
    data: Path,
) -> None:
    async with running(data) as first:
        with pytest.raises(
            EmbeddedPostgresError, match=f"{data} is in use .*process {os.getpid()}.*database.url"
        ):
            await embedded.start(data, settings=FAST_SETTINGS)

        assert await query(first.url, "SELECT 1") == 1


async def test_of_two_concurrent_first_starts_one_succeeds(directory: Path) -> None:
    starts = [embedded.start(directory / "postgres", settings=FAST_SETTINGS) for _ in range(2)]

    outcomes = await asyncio.gather(*starts, return_exceptions=True)

    winners = [outcome for outcome in outcomes if isinstance(outcome, embedded.EmbeddedPostgres)]
    for winner in winners:
        await winner.stop()
    assert len(winners) == 1
    assert any(isinstance(outcome, EmbeddedPostgresError) for outcome in outcomes)


async def test_a_killed_postmaster_starts_again_on_the_same_port_with_its_data(data: Path) -> None:
    first = await embedded.start(data, settings={**FAST_SETTINGS, "fsync": "on"})
    client = await asyncpg.connect(first.url)
    await client.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    os.kill(first.pid, signal.SIGKILL)
    await first.stop()
    client.terminate()

    async with running(data, port=first.port) as second:
        assert second.url == first.url
        assert await query(second.url, "SELECT answer FROM kept") == 42


@asynccontextmanager
async def frozen(pid: int) -> AsyncIterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_start_waits_for_the_orphans_of_a_killed_postmaster(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await embedded.start(data, settings=FAST_SETTINGS)
    client = await asyncpg.connect(first.url)
    orphan = client.get_server_pid()
    async with frozen(orphan):
        os.kill(first.pid, signal.SIGKILL)
        await first.stop()
        client.terminate()
        with monkeypatch.context() as patch:
            patch.setattr(data_dir, "ORPHANS_SECONDS", 0.1)
            with pytest.raises(EmbeddedPostgresError, match=f"an earlier .* still use {data}"):
                await embedded.start(data, settings=FAST_SETTINGS)
        starting = asyncio.create_task(embedded.start(data, settings=FAST_SETTINGS))

    second = await starting

    assert is_gone(orphan)
    await second.stop()


@pytest.fixture
def unrelated_process() -> Iterator[int]:
    """Run a process of the server's user, which PostgreSQL takes for a postmaster."""
    account = server_account()
    with subprocess.Popen(["sleep", "600"], user=account.uid if account else None) as process:
        yield process.pid
        process.kill()


async def test_a_stale_pid_file_that_names_an_unrelated_process_is_removed(
    data: Path, unrelated_process: int
) -> None:
    pid_file = data / "cluster" / "postmaster.pid"
    pid_file.write_text(
        f"{unrelated_process}\n{data}/cluster\n1700000000\n5432\n\n\n       1         2\n"
    )

    async with running(data) as started:
        assert await query(started.url, "SELECT 1") == 1
        assert pid_file.read_text().startswith(f"{started.pid}\n")


async def test_an_interrupted_start_does_not_prevent_the_next(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = directory / "postgres"
    starting = asyncio.create_task(embedded.start(data, settings=FAST_SETTINGS))
    await until(lambda: bool(list(data.glob("initdb-*/cluster/PG_VERSION"))))
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    (data / "initdb-killed").mkdir()
    (data / "initdb-killed" / "PG_VERSION").write_text("18\n")

    async with running(data) as started:
        assert await query(started.url, "SELECT 1") == 1
        assert not list(data.glob("initdb-*"))


async def test_cancelling_a_start_stops_the_server_that_is_starting(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = asyncio.Event()
    probed = asyncio.Event()

    async def stuck(*_: object) -> bool:
        probed.set()
        return await never.wait()

    monkeypatch.setattr(startup, "_has_database", stuck)
    before = set(psutil.Process().children())
    starting = asyncio.create_task(embedded.start(data, settings=FAST_SETTINGS))
    await probed.wait()
    started = set(psutil.Process().children()) - before

    starting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await starting
    assert started
    assert all(is_gone(process.pid) for process in started)
    assert not (data / "socket").is_symlink()
