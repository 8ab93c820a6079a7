"""A receiver that misbehaves on purpose: a raw socket server, played by a script for each visit."""

import asyncio
import gzip
import os
import re
import socket
import ssl
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import uvloop

ROOT = Path(__file__).parents[2]

HTTP = b"HTTP/1.1 "
OK = HTTP + b"200 OK\r\nContent-Length: 2\r\n\r\nOK"
CHUNKED = HTTP + b"200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)

GONE = (ConnectionError, asyncio.IncompleteReadError)


class Visit:
    """One connection that the sender made, in the hands of a script; `number` counts from 1."""

    def __init__(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.number = number
        self.requests: list[bytes] = []
        self._reader = reader
        self._writer = writer

    async def request(self) -> bytes:
        """Read one whole request: its head, and as much as its Content-Length says."""
        head = await self.head()
        length = CONTENT_LENGTH.search(head)
        body = await self._reader.readexactly(int(length[1]) if length else 0)
        self.requests.append(head + body)
        return head + body

    async def head(self) -> bytes:
        """Read no more than a request's head."""
        return await self._reader.readuntil(b"\r\n\r\n")

    async def mark_due(self) -> bytes:
        """Read whatever has come, at least one byte."""
        heard = await self._reader.read(65536)
        if not heard:
            raise ConnectionResetError
        return heard

    async def sip(self, *, every: float) -> None:
        """Read a little at a time."""
        while True:
            await self._reader.readexactly(50)
            await asyncio.sleep(every)

    async def say(self, data: bytes) -> None:
        """Send it; returns when the other side has taken most of what was said."""
        if self._writer.is_closing():
            raise ConnectionResetError  # uvloop says RuntimeError here
        self._writer.write(data)
        await self._writer.drain()
        await asyncio.sleep(0)  # a turn for the others: drain takes none while there is room

    async def say_for_ever(self, data: bytes) -> None:
        while True:
            await self.say(data)

    async def drip(self, data: bytes, *, every: float) -> None:
        """A byte at a time."""
        for byte in data:
            await self.say(bytes([byte]))
            await asyncio.sleep(every)

    async def left(self) -> None:
        """Wait until the sender hangs up, reading nothing that it says before."""
        while await self._reader.read(65536):
            pass

    @property
    def peer_name(self) -> str:
        """The common name in the certificate that the sender showed."""
        certificate: Any = self._writer.get_extra_info("peercert")
        return str(dict(pair for part in certificate["subject"] for pair in part)["commonName"])

    def hang_up(self) -> None:
        self._writer.close()

    def cut(self) -> None:
        """End what we say with a bare FIN, without the closing alert that TLS asks for."""
        with socket.socket(fileno=os.dup(self._socket.fileno())) as same:
            same.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End it with RST in place of FIN."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def stop_reading(self) -> None:
        transport: Any = self._writer.transport  # uvloop's is no asyncio.Transport by inheritance
        transport.pause_reading()

    @property
    def _socket(self) -> socket.socket:
        found: socket.socket = self._writer.get_extra_info("socket")
        return found


Script = Callable[[Visit], Awaitable[None]]


class Hostile:
    """All visits so far, and how many go on; `port` is where it listens."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.visits: list[Visit] = []
        self.open_now = 0
        self.port = 0
        self.url = ""
        self._playing: set[asyncio.Task[None]] = set()

    @property
    def requests(self) -> list[bytes]:
        return [request for visit in self.visits for request in visit.requests]

    def receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = Visit(len(self.visits) + 1, reader, writer)
        self.visits.append(visit)
        task = asyncio.create_task(self._play(visit))
        self._playing.add(task)
        task.add_done_callback(self._playing.discard)

    async def _play(self, visit: Visit) -> None:
        self.open_now += 1
        try:
            await self.script(visit)
        except GONE:
            pass  # the sender has seen enough
        finally:
            self.open_now -= 1
            visit.hang_up()

    async def stop(self) -> None:
        for task in list(self._playing):
            task.cancel()
        await asyncio.gather(*self._playing, return_exceptions=True)


@asynccontextmanager
async def hostile(
    script: Script,
    *,
    tls: ssl.SSLContext | None = None,
    at: tuple[str, int] = ("127.0.0.1", 0),
) -> AsyncIterator[Hostile]:
    """A server on loopback that plays `script` with every visitor."""
    server = Hostile(script)
    listening = await asyncio.start_server(
        server.receive, *at, ssl=tls, limit=1 << 20, backlog=1024
    )
    server.port = listening.sockets[0].getsockname()[1]
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.port}/"
    try:
        yield server
    finally:
        listening.close()
        await server.stop()
        await listening.wait_closed()


@contextmanager
def hostile_apart(plague: str) -> Iterator[str]:
    """The same in a process of its own, so that its work is not ours, with a script of PLAGUES."""
    command = [sys.executable, "-m", "tests.support.hostile", plague]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


async def _play_apart(plague: str) -> None:
    """Say where to find us, and play until whoever started us is no more."""

    async def script(visit: Visit) -> None:
        await PLAGUES[plague][visit.number % len(PLAGUES[plague])](visit)

    async with hostile(script) as server:
        print(server.url, flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.read)


def saying(answer: bytes) -> Script:
    """Answer every request of a connection with these bytes."""

    async def script(visit: Visit) -> None:
        while True:
            await visit.request()
            await visit.say(answer)

    return script


def saying_once(answer: bytes) -> Script:
    """Answer one request with these bytes, and hang up."""

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.say(answer)

    return script


def saying_for_ever(beginning: bytes, again: bytes) -> Script:
    """Begin an answer and never come to its end."""

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.say(beginning)
        await visit.say_for_ever(again)

    return script


def dripping(beginning: bytes, again: bytes, *, every: float = 0.02) -> Script:
    """The same, a byte at a time."""

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.say(beginning)
        while True:
            await visit.drip(again, every=every)

    return script


def stopping_after(beginning: bytes) -> Script:
    """Send the beginning of an answer, then nothing more."""

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.say(beginning)
        await visit.left()

    return script


def resetting_after(beginning: bytes) -> Script:
    """Send the beginning of an answer, then reset the connection."""

    async def script(visit: Visit) -> None:
        await visit.request()
        if beginning:
            await visit.say(beginning)
        visit.reset()

    return script


def cutting_after(beginning: bytes) -> Script:
    """Send the beginning of an answer, then end the stream without TLS's closing alert."""

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.say(beginning)
        visit.cut()
        await visit.left()

    return script


def meeting_with(data: bytes, *, again: bytes = b"", every: float = 0.0) -> Script:
    """Whatever is said first, a TLS hello perhaps, is met with these bytes; then with `again`."""

    async def script(visit: Visit) -> None:
        await visit.mark_due()
        await visit.say(data)
        while again:
            await visit.say(again)
            await asyncio.sleep(every)
        await visit.left()

    return script


def hanging_up_after_hearing(*, reset: bool) -> Script:
    """Close, or reset, as soon as anything was said."""

    async def script(visit: Visit) -> None:
        await visit.mark_due()
        if reset:
            visit.reset()

    return script


async def silent(visit: Visit) -> None:
    """Listen, and say nothing."""
    await visit.left()


async def deaf(visit: Visit) -> None:
    """Neither read nor say anything."""
    visit.stop_reading()
    await asyncio.Event().wait()


async def hanging_up(visit: Visit) -> None:
    """Close at once."""


async def resetting(visit: Visit) -> None:
    """Reset at once."""
    visit.reset()


async def sipping(visit: Visit) -> None:
    """Read a little at a time."""
    await visit.sip(every=0.02)


# Who does not read does not notice either that the sender has left.
UNAWARE = {deaf, sipping}


async def echoing(visit: Visit) -> None:
    """Say whatever is said."""
    while True:
        await visit.say(await visit.mark_due())


# None of these comes to an end by itself.
SLOW = {
    "says nothing": silent,
    "reads nothing": deaf,
    "reads a little at a time": sipping,
    "drips a status line": dripping(b"", HTTP + b"200 " + b"x" * 1000),
    "drips empty lines": dripping(b"", b"\r\n"),
    "drips headers": dripping(HTTP + b"200 OK\r\n", b"X: a\r\n"),
    "drips a header": dripping(HTTP + b"200 OK\r\nX: ", b"a"),
    "drips interim answers": dripping(b"", HTTP + b"103 E\r\n\r\n"),
    "drips a body": dripping(HTTP + b"200 OK\r\n\r\n", b"x"),
    "drips chunks": dripping(CHUNKED, b"1\r\nx\r\n"),
    "drips a chunk's size": dripping(CHUNKED, b"0"),
    "drips a chunk's extension": dripping(CHUNKED + b"1;", b"e"),
    "drips trailers": dripping(CHUNKED + b"1\r\nx\r\n0\r\n", b"X: a\r\n"),
    "stops in its head": stopping_after(HTTP + b"200 OK\r\nX: "),
    "stops in its body": stopping_after(HTTP + b"200 OK\r\nContent-Length: 2\r\n\r\nO"),
}

RECORD_BEGUN = b"\x16\x03\x03\x40\x00"
# A byte a record: the head of a message of 64 KB, and what may follow it.
MESSAGE_BEGUN = b"".join(b"\x16\x03\x03\x00\x01%c" % byte for byte in b"\x02\x00\xff\x00")
CRUMB = b"\x16\x03\x03\x00\x01x"
# Of this a client must take no notice during a handshake. (RFC 5246, section 7.4.1.1.)
HELLO_REQUEST = b"\x16\x03\x03\x00\x04\x00\x00\x00\x00"
# How a proper handshake of TLS 1.2 begins.
HELLO = (
    b"\x16\x03\x03\x00\x31\x02\x00\x00\x2d\x03\x03"
    + b"r" * 32
    + b"\x00\xc0\x2b\x00\x00\x05\xff\x01\x00\x01\x00"
)

# None of these handshakes comes to an end by itself.
SLOW_HANDSHAKES = {
    "says nothing": silent,
    "reads nothing": deaf,
    "reads a little at a time": sipping,
    "stops in a record": meeting_with(RECORD_BEGUN + b"\x02\x00"),
    "drips garbage in a record": meeting_with(RECORD_BEGUN, again=b"x", every=0.02),
    "drips records": meeting_with(MESSAGE_BEGUN, again=CRUMB, every=0.02),
    "stops after its hello": meeting_with(HELLO),
}

FLOODS_OF_HANDSHAKES = {
    "requests for a handshake": meeting_with(b"", again=HELLO_REQUEST * 1000),
    "records full of them": meeting_with(b"", again=RECORD_BEGUN + bytes(0x4000)),
    "requests after its hello": meeting_with(HELLO, again=HELLO_REQUEST * 1000),
    "records full of them after its hello": meeting_with(HELLO, again=RECORD_BEGUN + bytes(0x4000)),
}

INTERIM = saying_for_ever(b"", (HTTP + b"103 E\r\n\r\n") * 100)
ENDLESS = [
    saying_for_ever(HTTP + b"200 OK\r\n\r\n", b"x" * 4096),
    saying_for_ever(CHUNKED, b"1\r\nx\r\n" * 500),
    saying_for_ever(
        HTTP + b"200 OK\r\nContent-Encoding: gzip\r\n\r\n", gzip.compress(bytes(10**7))
    ),
]
RESETS = [
    resetting,
    hanging_up_after_hearing(reset=True),
    resetting_after(b""),
    resetting_after(b"HTTP/1.1 2"),
    resetting_after(HTTP + b"200 OK\r\nX: "),
    resetting_after(HTTP + b"200 OK\r\nContent-Length: 2\r\n\r\nO"),
    resetting_after(OK),
]

# What a crowd of receivers does at once, each in its turn.
PLAGUES: dict[str, list[Script]] = {
    "none": [saying(OK)],
    "of every kind": [
        *SLOW.values(),
        hanging_up,
        INTERIM,
        saying_for_ever(HTTP + b"200 OK\r\n", b"X: a\r\n" * 500),
        *ENDLESS,
        saying_once(bytes(range(256))),
        *RESETS,
    ],
    "with endless interim answers": [INTERIM],
    "with endless bodies": ENDLESS,
    "that reset": RESETS,
    "that never finish a handshake": list(SLOW_HANDSHAKES.values()),
    "that flood a handshake": list(FLOODS_OF_HANDSHAKES.values()),
    "that meet a handshake with garbage": [
        meeting_with(bytes(range(256)), again=bytes(range(256)) * 16),
        meeting_with(b"", again=b"\x17\x03\x03\x40\x00" + b"x" * 0x4000),
        meeting_with(HTTP + b"400 Bad Request\r\n\r\n"),
        hanging_up_after_hearing(reset=True),
        hanging_up_after_hearing(reset=False),
    ],
}

if __name__ == "__main__":
    uvloop.run(_play_apart(sys.argv[1]))
