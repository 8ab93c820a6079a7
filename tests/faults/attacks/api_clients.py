"""
The attackers' clients of the API, in a separate process: each sends requests without a pause.

Run as `python -m tests.faults.attacks.api_clients PORT CLIENTS`; the head of the request comes on
standard input. It ends when its input does, and prints how many responses came by status.
"""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

import httptools
import uvloop

from tests.faults.attacks.endpoints import NICENESS

ROOT = Path(__file__).parents[3]


class ApiClients:
    """The running process, as the attack sees it."""

    def __init__(self, process: "Popen[str]") -> None:
        self._process = process

    def stop(self) -> dict[str, int]:
        """End it; returns the number of responses by status."""
        output, _ = self._process.communicate()
        statuses: dict[str, int] = json.loads(output)
        return statuses


@contextmanager
def api_clients(port: int, head: str, *, clients: int) -> Iterator[ApiClients]:
    """Let so many clients send the request with this head during the block, each as it can."""
    command = [sys.executable, "-m", "tests.faults.attacks.api_clients", str(port), str(clients)]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(head) + "\n")
            process.stdin.flush()
            yield ApiClients(process)
        finally:
            process.kill()


class _Client(asyncio.Protocol):
    def __init__(self, request: bytes, statuses: "Counter[int]") -> None:
        self._request = request
        self._statuses = statuses
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's own class
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._statuses[self._parser.get_status_code()] += 1
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(self._request)


async def _run(port: int, clients: int) -> None:
    loop = asyncio.get_running_loop()
    request = json.loads(sys.stdin.readline()).encode()
    statuses: Counter[int] = Counter()
    for _ in range(clients):
        await loop.create_connection(lambda: _Client(request, statuses), "127.0.0.1", port)
    await asyncio.to_thread(sys.stdin.read)
    print(json.dumps(statuses), flush=True)


if __name__ == "__main__":
    os.nice(NICENESS)
    uvloop.run(_run(int(sys.argv[1]), int(sys.argv[2])))
