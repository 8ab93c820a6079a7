"""
A receiver in a separate process, which does as little as possible and keeps the time of receipts.

Run as `python -m tests.bench.receiver`. The first segment of a request's path is its kind: `hang`
is never answered, `slow` after 4.5 s, any other kind at once. Standard input takes one command per
line, as JSON; the time of a receipt is the machine's monotonic clock.
"""

import asyncio
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httptools
import uvloop

from daemon.cli.support.process import raise_open_file_limit
from tests.support.certificates import Authority

ROOT = Path(__file__).parents[2]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nOK"
SLOW_SECONDS = 4.5  # just within the daemon's default timeout
LINE_BYTES = 64 * 1024 * 1024
REPLY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Counts:
    """
    The requests of one kind.

    `distinct` counts pairs of a path and a message; `last_at` is the time of the last new one, 0 if
    there was none.
    """

    requests: int
    distinct: int
    last_at: float


class Receiver:
    """The running process, as the driver sees it; `authority` is the TLS authority, in PEM."""

    def __init__(self, process: asyncio.subprocess.Process, ready: dict[str, Any]) -> None:
        self.pid = process.pid
        self.url: str = ready["url"]
        self.tls_url: str = ready["tls_url"]
        self.authority: str = ready["authority"]
        self._process = process

    async def reset(self) -> None:
        """Forget all requests."""
        await self._ask({"do": "reset"})

    async def counts(self, kind: str) -> Counts:
        """Return the requests of one kind so far."""
        return Counts(**await self._ask({"do": "counts", "kind": kind}))

    async def wait(self, kind: str, distinct: int, *, within: float) -> Counts:
        """Wait until `distinct` messages have arrived, at most `within` s; return the counts."""
        command = {"do": "wait", "kind": kind, "distinct": distinct, "within": within}
        return Counts(**await self._ask(command, within=within))

    async def arrivals(self, kind: str) -> dict[str, float]:
        """Return the time of the first receipt by message id."""
        times: dict[str, float] = await self._ask({"do": "arrivals", "kind": kind})
        return times

    async def _ask(self, command: dict[str, object], *, within: float = 0.0) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(command).encode() + b"\n")
        return json.loads(await asyncio.wait_for(stdout.readline(), within + REPLY_SECONDS))


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Run a receiver during the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.receiver"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        limit=LINE_BYTES,
    )
    assert process.stdout is not None
    try:
        yield Receiver(process, json.loads(await process.stdout.readline()))
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


class _Receipts:
    def __init__(self) -> None:
        self.requests: Counter[bytes] = Counter()
        self.first_at: defaultdict[bytes, dict[tuple[bytes, bytes], float]] = defaultdict(dict)
        self._last_at: dict[bytes, float] = {}
        self._wanted: tuple[bytes, int] = (b"", 0)
        self._reached = asyncio.Event()

    def add(self, kind: bytes, path: bytes, message_id: bytes) -> None:
        self.requests[kind] += 1
        first_at = self.first_at[kind]
        now = time.monotonic()
        if first_at.setdefault((path, message_id), now) is now:
            self._last_at[kind] = now
            if kind == self._wanted[0] and len(first_at) >= self._wanted[1]:
                self._reached.set()

    def counts(self, kind: bytes) -> dict[str, float]:
        return {
            "requests": self.requests[kind],
            "distinct": len(self.first_at[kind]),
            "last_at": self._last_at.get(kind, 0.0),
        }

    async def wait(self, kind: bytes, distinct: int, within: float) -> None:
        self._wanted = (kind, distinct)
        self._reached.clear()
        if len(self.first_at[kind]) < distinct:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._reached.wait(), within)

    def arrivals(self, kind: bytes) -> dict[str, float]:
        return {message_id.decode(): at for (_, message_id), at in self.first_at[kind].items()}

    def reset(self) -> None:
        self.requests.clear()
        self.first_at.clear()
        self._last_at.clear()


class _Connection(asyncio.Protocol):
    def __init__(self, receipts: _Receipts) -> None:
        self._receipts = receipts
        self._path = self._message_id = b""
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._path = b""

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name == b"webhook-id":
            self._message_id = value

    def on_message_complete(self) -> None:
        kind = self._path.split(b"/", 2)[1]
        self._receipts.add(kind, self._path, self._message_id)
        if kind == b"slow":
            asyncio.get_running_loop().call_later(SLOW_SECONDS, self._answer)
        elif kind != b"hang":
            self._transport.write(ANSWER)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(ANSWER)


async def _obey(receipts: _Receipts, command: dict[str, Any]) -> object:
    kind = command.get("kind", "").encode()
    match command["do"]:
        case "reset":
            receipts.reset()
            return {}
        case "arrivals":
            return receipts.arrivals(kind)
        case "wait":
            await receipts.wait(kind, command["distinct"], command["within"])
    return receipts.counts(kind)


async def _serve() -> None:
    """Print the URLs and the authority, then obey until standard input ends."""
    raise_open_file_limit()
    loop = asyncio.get_running_loop()
    receipts, authority = _Receipts(), Authority()
    plain, tls = [
        await loop.create_server(
            lambda: _Connection(receipts), "127.0.0.1", 0, backlog=4096, ssl=context
        )
        for context in (None, authority.server("127.0.0.1"))
    ]
    ready = {
        "url": f"http://127.0.0.1:{plain.sockets[0].getsockname()[1]}",
        "tls_url": f"https://127.0.0.1:{tls.sockets[0].getsockname()[1]}",
        "authority": authority.pem,
    }
    print(json.dumps(ready), flush=True)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        print(json.dumps(await _obey(receipts, json.loads(line))), flush=True)


if __name__ == "__main__":
    uvloop.run(_serve())
