"""
Start `webhookd` as a fork of a process that has imported it: see fork_server.py.

A `ForkedProcess` has those attributes of asyncio's `Process` that the tests use.
"""

import asyncio
import atexit
import functools
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT_BYTES = 8 * 1024 * 1024
# Python reads other variables of this kind at its start, which a fork has not.
KNOWN_VARIABLES = {"PYTHONPATH", "PYTHONUNBUFFERED"}


class ForkedProcess:
    """A running fork. Streams are None for standard files that are no pipes to this process."""

    def __init__(
        self,
        pid: int,
        report: asyncio.StreamReader,
        *,
        stdin: asyncio.StreamWriter | None,
        stdout: asyncio.StreamReader | None,
        stderr: asyncio.StreamReader | None,
    ) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.returncode: int | None = None
        self._ended = asyncio.create_task(self._wait_for_end(report))

    async def wait(self) -> int:
        """Return the exit code once the process has ended; -N if signal N ended it."""
        return await asyncio.shield(self._ended)

    async def communicate(self, text: bytes = b"") -> tuple[bytes, bytes]:
        """Write `text` to stdin, and read both outputs to their ends."""
        assert self.stdout is not None
        assert self.stderr is not None
        if self.stdin is not None:
            self.stdin.write(text)
            self.stdin.close()
        out, err, _ = await asyncio.gather(self.stdout.read(), self.stderr.read(), self.wait())
        return out, err

    def send_signal(self, number: int) -> None:
        """Raises ProcessLookupError if the process has ended."""
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    async def _wait_for_end(self, report: asyncio.StreamReader) -> int:
        self.returncode = int(await report.read())
        if self.stdin is not None:
            self.stdin.close()
        return self.returncode


async def start(
    *python: str,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
) -> ForkedProcess:
    """
    Run `python -m MODULE …` or `python -c PROGRAM …`; the other parameters are those of asyncio.

    None for a standard file is this process's own.
    """
    changed = {name for name, value in env.items() if os.environ.get(name) != value}
    unknown = {name for name in changed if name.startswith("PYTHON")} - KNOWN_VARIABLES
    assert not unknown, f"a fork cannot obey {unknown}"
    ours: list[int] = []
    theirs: list[int] = []
    for number, wanted in enumerate((stdin, stdout, stderr, PIPE)):
        if wanted != PIPE:
            theirs.append(os.dup(number if wanted is None else wanted))
            ours.append(-1)
            continue
        reading, writing = os.pipe()
        ours.append(writing if number == 0 else reading)
        theirs.append(reading if number == 0 else writing)
    command = {"python": python, "environment": dict(env), "folder": str(cwd or Path.cwd())}
    socket.send_fds(_fork_server().control, [json.dumps(command).encode()], theirs)
    for file in theirs:
        os.close(file)
    to_stdin, *from_outputs, from_report = ours
    report = await _reader(from_report)
    pid = int(await report.readline())
    out, err = [None if file == -1 else await _reader(file) for file in from_outputs]
    writer = None if to_stdin == -1 else await _writer(to_stdin)
    return ForkedProcess(pid, report, stdin=writer, stdout=out, stderr=err)


class _ClosingProtocol(asyncio.StreamReaderProtocol):
    """Closes its transport at the end of the file."""

    def eof_received(self) -> bool:
        super().eof_received()
        return False


async def _reader(file: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=LIMIT_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: _ClosingProtocol(reader), os.fdopen(file, "rb", buffering=0)
    )
    return reader


async def _writer(file: int) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(file, "wb", buffering=0)
    )
    return asyncio.StreamWriter(transport, protocol, None, loop)


def shell_words(*python: str) -> list[str]:
    """The words for `python ARGUMENTS` in a shell, if that is to be a fork."""
    client = Path(__file__).with_name("fork_client.py")
    return [sys.executable, "-ISE", str(client), _fork_server().path, *python]


def shell_command() -> str:
    """What a shell writes for `python -m daemon`, if that is to be a fork."""
    return shlex.join(shell_words("-m", "daemon"))


@dataclass(frozen=True, slots=True)
class _ForkServer:
    """The connection to a fork server, and the path of the socket at which it listens."""

    control: socket.socket
    path: str


@functools.cache
def _fork_server() -> _ForkServer:
    """Start the fork server of this process, which ends with this process."""
    folder = tempfile.mkdtemp(prefix="webhookd-forks-")  # nobody else may enter it
    path = f"{folder}/socket"
    control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with other, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen()
        numbers = [other.fileno(), listener.fileno()]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fork_server", *map(str, numbers)],
            pass_fds=numbers,
            cwd=ROOT,
        )

    def end() -> None:
        control.close()
        process.wait()
        shutil.rmtree(folder)

    atexit.register(end)
    return _ForkServer(control, path)
