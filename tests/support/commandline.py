"""`webhookd` as people and programs call it: a process of its own, its output line by line."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 30.0
MODULE = ("-m", "daemon")


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command came to."""

    code: int
    out: str
    err: str


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours, without what configures a daemon or colours its output."""
    ours = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "TMPDIR"}}
    return ours | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **(extra or {})}


async def webhookd(
    *arguments: str,
    folder: Path,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    python: tuple[str, ...] = MODULE,
) -> Ended:
    """Run a command to its end, in `folder`, where no configuration lies."""
    process = await _start(arguments, folder, env, python)
    out, err = await asyncio.wait_for(process.communicate(stdin), PATIENCE_SECONDS)
    assert process.returncode is not None
    assert b"Traceback" not in err
    return Ended(process.returncode, out.decode(), err.decode())


class Running:
    """A command that runs until it is told to stop; `out` and `err` grow while it does."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.out: list[str] = []
        self.err: list[str] = []
        self._grown = asyncio.Event()
        assert process.stdout is not None
        assert process.stderr is not None
        self._readers = asyncio.gather(
            self._read(process.stdout, self.out), self._read(process.stderr, self.err)
        )

    async def line(self, wanted: Callable[[str], bool], *, err: bool = False) -> str:
        """The first line of which `wanted` is true, waited for."""
        lines = self.err if err else self.out
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                self._grown.clear()
                if found := [line for line in lines if wanted(line)]:
                    return found[0]
                assert not self._readers.done(), f"ended without that line: {self.out} {self.err}"
                await self._grown.wait()

    async def lines(self, count: int) -> list[str]:
        """The first `count` lines, waited for."""
        await self.line(lambda _: len(self.out) >= count)
        return self.out[:count]

    async def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send the signal; the exit code, when all output was read."""
        self.process.send_signal(number)
        return await self.wait()

    async def wait(self) -> int:
        """The exit code, when all output was read."""
        await asyncio.wait_for(self._readers, PATIENCE_SECONDS)
        return await asyncio.wait_for(self.process.wait(), PATIENCE_SECONDS)

    async def _read(self, stream: asyncio.StreamReader, lines: list[str]) -> None:
        while line := await stream.readline():
            lines.append(line.decode().rstrip("\n"))
            self._grown.set()
        await asyncio.sleep(0)
        self._grown.set()


@asynccontextmanager
async def running(
    *arguments: str,
    folder: Path,
    env: Mapping[str, str] | None = None,
    python: tuple[str, ...] = MODULE,
) -> AsyncIterator[Running]:
    """Start a command; killed at the end of the block if it still runs."""
    process = await _start(arguments, folder, env, python)
    command = Running(process)
    try:
        yield command
    finally:
        if process.returncode is None:
            process.kill()
        await command.wait()


async def _start(
    arguments: tuple[str, ...],
    folder: Path,
    env: Mapping[str, str] | None,
    python: tuple[str, ...],
) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *python,
        *arguments,
        cwd=folder,
        env=environment(env),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        limit=8 * 1024 * 1024,
    )
