"""
Scripts of hostile receivers, grouped by behaviour, and crowds of receivers in a separate process.

Run as `python -m tests.support.hostile_crowds CROWD ADDRESS`. In the test's process, the receivers'
work would be measured as the client's.
"""

import asyncio
import gzip
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

import uvloop

from tests.support.client_keys import slow_certificate
from tests.support.hostile import (
    CHUNKED,
    HTTP,
    OK,
    Connection,
    Script,
    closing_after_first_bytes,
    closing_at_once,
    dripping,
    hostile,
    reading_nothing,
    reading_slowly,
    replying_to_hello,
    resetting,
    resetting_after,
    responding_endlessly,
    responding_once,
    responding_with,
    silent,
    stopping_after,
)

ROOT = Path(__file__).parents[2]

# None of these scripts ends by itself.
SLOW = {
    "sends nothing": silent,
    "reads nothing": reading_nothing,
    "reads a little at a time": reading_slowly,
    "drips a status line": dripping(b"", HTTP + b"200 " + b"x" * 1000),
    "drips empty lines": dripping(b"", b"\r\n"),
    "drips headers": dripping(HTTP + b"200 OK\r\n", b"X: a\r\n"),
    "drips a header": dripping(HTTP + b"200 OK\r\nX: ", b"a"),
    "drips interim responses": dripping(b"", HTTP + b"103 E\r\n\r\n"),
    "drips a body": dripping(HTTP + b"200 OK\r\n\r\n", b"x"),
    "drips chunks": dripping(CHUNKED, b"1\r\nx\r\n"),
    "drips a chunk's size": dripping(CHUNKED, b"0"),
    "drips a chunk's extension": dripping(CHUNKED + b"1;", b"e"),
    "drips trailers": dripping(CHUNKED + b"1\r\nx\r\n0\r\n", b"X: a\r\n"),
    "stops in its head": stopping_after(HTTP + b"200 OK\r\nX: "),
    "stops in its body": stopping_after(HTTP + b"200 OK\r\nContent-Length: 2\r\n\r\nO"),
}

RECORD_STARTED = b"\x16\x03\x03\x40\x00"
# One byte per record: the head of a message of 64 KB, and what may follow it.
MESSAGE_STARTED = b"".join(b"\x16\x03\x03\x00\x01%c" % byte for byte in b"\x02\x00\xff\x00")
ONE_BYTE_RECORD = b"\x16\x03\x03\x00\x01x"
# A client must ignore this during a handshake. (RFC 5246, section 7.4.1.1.)
HELLO_REQUEST = b"\x16\x03\x03\x00\x04\x00\x00\x00\x00"
# The beginning of a valid handshake of TLS 1.2.
SERVER_HELLO = (
    b"\x16\x03\x03\x00\x31\x02\x00\x00\x2d\x03\x03"
    + b"r" * 32
    + b"\x00\xc0\x2b\x00\x00\x05\xff\x01\x00\x01\x00"
)


def certificate_message(*certificates: str) -> bytes:
    """
    The message after SERVER_HELLO, as a record: certificates in PEM.

    They take 14 KiB at most.
    """
    ders = [ssl.PEM_cert_to_DER_cert(each) for each in certificates]
    chain = b"".join(len(der).to_bytes(3) + der for der in ders)
    message = len(chain).to_bytes(3) + chain
    message = b"\x0b" + len(message).to_bytes(3) + message
    return RECORD_STARTED[:3] + len(message).to_bytes(2) + message


# None of these handshakes ends by itself.
SLOW_HANDSHAKES = {
    "sends nothing": silent,
    "reads nothing": reading_nothing,
    "reads a little at a time": reading_slowly,
    "stops in a record": replying_to_hello(RECORD_STARTED + b"\x02\x00"),
    "drips garbage in a record": replying_to_hello(RECORD_STARTED, again=b"x", every=0.02),
    "drips records": replying_to_hello(MESSAGE_STARTED, again=ONE_BYTE_RECORD, every=0.02),
    "stops after its ServerHello": replying_to_hello(SERVER_HELLO),
}

HANDSHAKE_FLOODS = {
    "HelloRequests": replying_to_hello(b"", again=HELLO_REQUEST * 1000),
    "records full of HelloRequests": replying_to_hello(b"", again=RECORD_STARTED + bytes(0x4000)),
    "HelloRequests after its ServerHello": replying_to_hello(
        SERVER_HELLO, again=HELLO_REQUEST * 1000
    ),
    "records full of HelloRequests after its ServerHello": replying_to_hello(
        SERVER_HELLO, again=RECORD_STARTED + bytes(0x4000)
    ),
}

INTERIM = responding_endlessly(b"", (HTTP + b"103 E\r\n\r\n") * 100)
ENDLESS = [
    responding_endlessly(HTTP + b"200 OK\r\n\r\n", b"x" * 4096),
    responding_endlessly(CHUNKED, b"1\r\nx\r\n" * 500),
    responding_endlessly(
        HTTP + b"200 OK\r\nContent-Encoding: gzip\r\n\r\n", gzip.compress(bytes(10**7))
    ),
]
RESETS = [
    resetting,
    closing_after_first_bytes(reset=True),
    resetting_after(b""),
    resetting_after(b"HTTP/1.1 2"),
    resetting_after(HTTP + b"200 OK\r\nX: "),
    resetting_after(HTTP + b"200 OK\r\nContent-Length: 2\r\n\r\nO"),
    resetting_after(OK),
]


def slow_chain(certificates: int) -> Script:
    """A handshake that takes the client a second for each of its certificates, up to 14."""
    return replying_to_hello(
        SERVER_HELLO + certificate_message(*[slow_certificate()] * certificates)
    )


# The scripts of a crowd of receivers; each connection gets the next one.
CROWDS: dict[str, list[Script]] = {
    "well-behaved": [responding_with(OK)],
    "of every kind": [
        *SLOW.values(),
        closing_at_once,
        INTERIM,
        responding_endlessly(HTTP + b"200 OK\r\n", b"X: a\r\n" * 500),
        *ENDLESS,
        responding_once(bytes(range(256))),
        *RESETS,
    ],
    "with endless interim responses": [INTERIM],
    "with endless bodies": ENDLESS,
    "that reset": RESETS,
    "that never finish a handshake": list(SLOW_HANDSHAKES.values()),
    "with slow certificates in a handshake": [slow_chain(1), slow_chain(14)],
    "that flood a handshake": list(HANDSHAKE_FLOODS.values()),
    "that reply to a handshake with garbage": [
        replying_to_hello(bytes(range(256)), again=bytes(range(256)) * 16),
        replying_to_hello(b"", again=b"\x17\x03\x03\x40\x00" + b"x" * 0x4000),
        replying_to_hello(HTTP + b"400 Bad Request\r\n\r\n"),
        closing_after_first_bytes(reset=True),
        closing_after_first_bytes(reset=False),
    ],
}


@contextmanager
def hostile_process(crowd: str, *, address: str = "127.0.0.1", niceness: int = 0) -> Iterator[str]:
    """Yield the URL of a receiver that runs a crowd's scripts in a separate process."""
    command = ["nice", "-n", str(niceness)]
    command += [sys.executable, "-m", "tests.support.hostile_crowds", crowd, address]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


async def _serve(crowd: str, address: str) -> None:
    """Print the URL, and serve until the parent process ends."""

    async def script(connection: Connection) -> None:
        await CROWDS[crowd][connection.number % len(CROWDS[crowd])](connection)

    async with hostile(script, at=(address, 0)) as server:
        print(server.url, flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], sys.argv[2]))
