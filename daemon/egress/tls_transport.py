"""
TLS over one connection to a receiver, and a bound on all that it costs.

It believes nothing either: records that carry no answer (requests for a handshake, tickets, changes
of the key) cost us more than whoever sends them, and OpenSSL takes them without an end.
"""

import asyncio
import ssl
from functools import partial
from typing import cast

from daemon.egress.http1 import Connection
from daemon.egress.loop_budget import LoopBudget
from daemon.egress.tls_hello import TOO_MUCH, Greeting

# Certificates and all. Servers send 2 to 8 KiB.
HANDSHAKE_LIMIT = 32 * 1024
# What may come, since the last request, beyond what it carries: heads of records, tickets.
OVERHEAD_LIMIT = 16 * 1024
# A record counts for so many bytes more: thousands of short ones would cost us milliseconds.
RECORD_COST = 64
VERSIONS = (b"\x03\x00", b"\x03\x01", b"\x03\x02", b"\x03\x03")
# No record is longer, and no more than this goes to OpenSSL before the bounds are looked at.
PIECE = 16 * 1024


class CostlyHandshakeError(ConnectionError):
    """The handshake would cost more than any honest one; `str()` is for the customer."""


class TlsTransport(asyncio.Protocol):
    """
    Stands between the network and a `Connection`, which takes it for its transport.

    What it reckons it reckons in `turns`; while that waits, nothing more is read.
    """

    def __init__(
        self, above: Connection, context: ssl.SSLContext, host: str, *, turns: LoopBudget
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._above = above
        self._turns = turns
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._raw: asyncio.Transport | None = None
        self._open = False
        self._room = HANDSHAKE_LIMIT
        self._unsent = b""
        self._greeting = Greeting()
        self.ready: asyncio.Future[None] = self._loop.create_future()

    # What the network tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        if not self._turns.now(self._go_on):
            self._turns.later(self._go_on)

    def data_received(self, data: bytes) -> None:
        if not self._turns.now(partial(self._take, data)):
            assert self._raw is not None
            self._raw.pause_reading()
            self._turns.later(partial(self._take_up, data))

    def _take_up(self, data: bytes) -> None:
        if self._raw is not None and not self.is_closing():
            self._raw.resume_reading()
            self._take(data)

    def _take(self, data: bytes) -> None:
        for at in range(0, len(data), PIECE):
            if self.is_closing():
                return
            piece = data[at : at + PIECE]
            self._room -= len(piece) + RECORD_COST * _records_in(piece)
            self._incoming.write(piece if self._greeting.over else self._greeting.read(piece))
            if self._greeting.refused:
                self._end(CostlyHandshakeError(self._greeting.refused))
                return
            self._go_on()
            if self._room < 0:
                self._overflow()

    def eof_received(self) -> None:
        if self._open:  # with or without TLS's closing alert: there are servers that send none
            self._above.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._open:
            self._above.connection_lost(exc)
        elif not self.ready.done():
            self.ready.set_exception(exc or ConnectionResetError())

    # What the connection asks of its transport.

    def write(self, data: bytes) -> None:
        self._room = OVERHEAD_LIMIT
        self._unsent = data
        self._go_on()

    def abort(self) -> None:
        if self._raw is not None:
            self._raw.abort()

    def is_closing(self) -> bool:
        return self._raw is None or self._raw.is_closing()

    def get_write_buffer_size(self) -> int:
        return 0 if self._raw is None else self._raw.get_write_buffer_size() + len(self._unsent)

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default if self._raw is None else self._raw.get_extra_info(name, default)

    def _go_on(self) -> None:
        """Do whatever can be done with what has come so far."""
        try:
            if not self._open:
                self._tls.do_handshake()
                self._opened()
            if self._unsent:
                self._tls.write(self._unsent)
                self._unsent = b""
            while data := self._tls.read(PIECE):
                self._room += len(data)
                self._above.data_received(data)
                if self.is_closing():
                    return
            self._above.eof_received()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._flush()  # the alert that says why
            self._failed(error)

    def _opened(self) -> None:
        self._open = True
        self._room = OVERHEAD_LIMIT
        self._above.connection_made(cast("asyncio.Transport", self))
        if not self.ready.done():
            self.ready.set_result(None)

    def _flush(self) -> None:
        if self._outgoing.pending and self._raw is not None and not self._raw.is_closing():
            self._raw.write(self._outgoing.read())

    def _failed(self, error: ssl.SSLError) -> None:
        if self._open:
            self._above.connection_lost(error)
            self.abort()
        else:
            if not self.ready.done():
                gone = isinstance(error, ssl.SSLZeroReturnError)
                self.ready.set_exception(ConnectionResetError() if gone else error)
            if self._raw is not None:
                self._raw.close()

    def _overflow(self) -> None:
        self._end(CostlyHandshakeError(TOO_MUCH))

    def _end(self, error: CostlyHandshakeError) -> None:
        if self._open:
            self._above.overwhelmed(str(error))
        elif not self.ready.done():
            self.ready.set_exception(error)
        self.abort()


def _records_in(data: bytes) -> int:
    """About how many begin here: their heads hold a version, and little else looks like one."""
    return sum(map(data.count, VERSIONS))
