"""
The attackers' endpoints, in a separate process, which can be frozen.

Run as `python -m tests.faults.attacks.endpoints`. The first segment of a request's path decides the
response. They listen on several addresses of loopback, and never on that of the healthy endpoints.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import httptools
import uvloop

from daemon.cli.support.process import raise_open_file_limit

ROOT = Path(__file__).parents[3]
ADDRESSES = [f"127.0.1.{number}" for number in range(1, 61)]
# In production they run on other machines: their work must not take the daemon's processors.
NICENESS = 10
# `late`: just within the daemon's default timeout.
AFTER_SECONDS = {b"slow": 0.1, b"late": 4.5}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
ERROR = b"HTTP/1.1 500 Error\r\nContent-Length: 0\r\n\r\n"


class Endpoints:
    """The running process, as the attack sees it."""

    def __init__(self, process: "Popen[str]", port: int) -> None:
        self._process = process
        self._port = port

    def urls(self, behaviour: str, count: int, *, addresses: int = 1) -> list[str]:
        """
        Return `count` URLs of endpoints, at one address or at several in turn.

        `behaviour` is `quick`, `slow` (0.1 s), `late` (4.5 s), `silent` or `error` (500).
        """
        return [
            f"http://{ADDRESSES[number % addresses]}:{self._port}/{behaviour}/{number}"
            for number in range(count)
        ]

    def freeze(self) -> None:
        """Stop the process: the kernel still accepts connections, and nothing responds."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def counts(self) -> tuple[int, int]:
        """Return the number of requests so far, and the most that were open at once."""
        os.kill(self._process.pid, signal.SIGCONT)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        requests, most_open = json.loads(self._process.stdout.readline())
        return requests, most_open


@contextmanager
def running_endpoints() -> Iterator[Endpoints]:
    """Run the endpoints during the block."""
    command = [sys.executable, "-m", "tests.faults.attacks.endpoints"]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield Endpoints(process, int(process.stdout.readline()))
        finally:
            process.kill()


class _Connections:
    """Counts the requests of all connections."""

    def __init__(self) -> None:
        self.requests = 0
        self.open_now = 0
        self.most_open = 0

    def opened(self) -> None:
        self.requests += 1
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)


class _Connection(asyncio.Protocol):
    """Responds as the path says; bodies are not kept."""

    def __init__(self, connections: _Connections) -> None:
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._path = b""
        self._open = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.open_now -= self._open
        self._open = 0

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_message_complete(self) -> None:
        behaviour, self._path = self._path.split(b"/")[1], b""
        self._connections.opened()
        self._open += 1
        if after := AFTER_SECONDS.get(behaviour):
            asyncio.get_running_loop().call_later(after, self._respond, OK)
        elif behaviour != b"silent":
            self._respond(ERROR if behaviour == b"error" else OK)

    def _respond(self, response: bytes) -> None:
        if self._open and not self._transport.is_closing():
            self._open -= 1
            self._connections.open_now -= 1
            self._transport.write(response)


async def _serve() -> None:
    """Print the port, then the counts for each line that is read, until there are no more."""
    raise_open_file_limit()
    os.nice(NICENESS)
    connections = _Connections()
    loop = asyncio.get_running_loop()
    port = 0
    for address in ADDRESSES:
        listening = socket.create_server((address, port), backlog=4096)
        port = listening.getsockname()[1]
        await loop.create_server(lambda: _Connection(connections), sock=listening)
    print(port, flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps([connections.requests, connections.most_open]), flush=True)


if __name__ == "__main__":
    uvloop.run(_serve())
