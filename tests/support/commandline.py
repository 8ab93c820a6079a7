"""Run `webhookd` as a process, as users do."""

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.forked_process import ForkedProcess, start

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 60.0
MODULE = ("-m", "daemon")
# The last three save CPU time (see conftest.py).
KEPT_VARIABLES = {"PATH", "HOME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "PGSSLMODE"}
# A secret that no command may print.
CANARY = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnkh"


NAMES_DATABASE = "webhookd: database postgresql://"


@dataclass(frozen=True, slots=True)
class CompletedCommand:
    """
    The exit code and the output of a command that has ended.

    `database` holds the lines by which it named its database; they are not in `err`.
    """

    code: int
    out: str
    err: str
    database: tuple[str, ...] = field(default=(), compare=False)


def without_database(errors: str) -> str:
    """What a command wrote to stderr, except for the line that names its database."""
    lines = errors.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(NAMES_DATABASE))


def one_line(text: str) -> bool:
    """Whether the text is exactly one line, an error of `webhookd`."""
    return text.startswith("webhookd: ") and text.count("\n") == 1


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return our environment without variables that configure a daemon or its colours."""
    kept = {name: value for name, value in os.environ.items() if name in KEPT_VARIABLES}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **(extra or {})}


def with_data_in(data: Path) -> tuple[str, str]:
    """Return Python arguments for a `webhookd` whose embedded PostgreSQL stores data in `data`."""
    program = (
        "import pathlib; from daemon import cli, embedded;"
        f"embedded.default_data_dir = lambda: pathlib.Path({str(data)!r}); cli.main()"
    )
    return "-c", program


async def webhookd(
    *arguments: str,
    folder: Path,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    python: tuple[str, ...] = MODULE,
) -> CompletedCommand:
    """Run a command in `folder`, where it finds no configuration except the test's own."""
    process = await _start(arguments, folder, env, python)
    out, err = await asyncio.wait_for(process.communicate(stdin), TIMEOUT_SECONDS)
    assert process.returncode is not None
    assert b"Traceback" not in err
    lines = err.decode().splitlines(keepends=True)
    named = tuple(line.rstrip() for line in lines if line.startswith(NAMES_DATABASE))
    return CompletedCommand(process.returncode, out.decode(), without_database(err.decode()), named)


class Running:
    """
    A running command; `out` and `err` hold the lines that it has printed so far.

    A line that names its database is in neither.
    """

    def __init__(self, process: Process | ForkedProcess) -> None:
        self.process = process
        self.out: list[str] = []
        self.err: list[str] = []
        self._has_output = asyncio.Event()
        assert process.stdout is not None
        assert process.stderr is not None
        self._readers = asyncio.gather(
            self._read(process.stdout, self.out), self._read(process.stderr, self.err)
        )

    async def line(self, wanted: Callable[[str], bool], *, err: bool = False) -> str:
        """Wait for a line for which `wanted` is true; return the first one."""
        lines = self.err if err else self.out
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                self._has_output.clear()
                if found := [line for line in lines if wanted(line)]:
                    return found[0]
                assert not self._readers.done(), f"ended without that line: {self.out} {self.err}"
                await self._has_output.wait()

    async def lines(self, count: int) -> list[str]:
        """Wait for the first `count` lines."""
        await self.line(lambda _: len(self.out) >= count)
        return self.out[:count]

    async def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send the signal; return the exit code once all output has been read."""
        self.process.send_signal(number)
        return await self.wait()

    async def wait(self) -> int:
        """Return the exit code once all output has been read."""
        await asyncio.wait_for(self._readers, TIMEOUT_SECONDS)
        return await asyncio.wait_for(self.process.wait(), TIMEOUT_SECONDS)

    async def _read(self, stream: asyncio.StreamReader, lines: list[str]) -> None:
        while line := await stream.readline():
            if not line.startswith(NAMES_DATABASE.encode()):
                lines.append(line.decode().rstrip("\n"))
            self._has_output.set()
        await asyncio.sleep(0)
        self._has_output.set()


@asynccontextmanager
async def running(
    *arguments: str,
    folder: Path,
    env: Mapping[str, str] | None = None,
    python: tuple[str, ...] = MODULE,
) -> AsyncIterator[Running]:
    """Start a command; kill it at the end of the block if it is still running."""
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
) -> ForkedProcess:
    return await start(
        *python, *arguments, cwd=folder, env=environment(env), stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
