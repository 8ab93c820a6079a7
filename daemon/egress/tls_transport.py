"""
TLS between a TCP connection and an HttpConnection: a transport above, a protocol below.

TLS work runs within the event loop's time budget; while it waits, nothing more is read.
"""

import asyncio
import ssl
from collections.abc import Iterator
from typing import cast

from daemon.egress.http1 import HttpConnection
from daemon.egress.loop_budget import OwnBudget
from daemon.egress.resets import reset
from daemon.egress.server_hello import TOO_MANY_RECORDS
from daemon.egress.tls_session import RefusedTlsError, TlsSession

# Of records with a byte of data each, these take half a millisecond; one read may bring 12,000.
RECORDS_IN_A_PIECE = 64


class TlsTransport(asyncio.Protocol):
    """The HttpConnection's transport; `handshake` is set once the receiver has proved its name."""

    def __init__(
        self, connection: HttpConnection, context: ssl.SSLContext, host: str, *, budget: OwnBudget
    ) -> None:
        self._connection = connection
        self._budget = budget
        self._session = TlsSession(context, host)
        self._records: Iterator[bytes] = iter(())  # of the last read, those still to be received
        self._tcp: asyncio.Transport | None = None
        self.handshake: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio.Transport.
        self._tcp = cast("asyncio.Transport", transport)
        if not self._budget.try_run(self._advance):
            self._budget.run_later(self._advance)

    def data_received(self, data: bytes) -> None:
        assert self._tcp is not None
        self._records = self._session.records(data)
        if not self._budget.try_run(self._receive):
            self._tcp.pause_reading()
            self._budget.run_later(self._resume)

    def eof_received(self) -> None:
        if self._session.established:  # some servers send no closing alert of TLS
            self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._session.established:
            self._connection.connection_lost(exc)
        else:
            self._fail_handshake(exc or ConnectionResetError())

    def write(self, data: bytes) -> None:
        """Encrypt and send one whole request."""
        self._session.queue(data)
        self._advance()

    def abort(self) -> None:
        """Close the TCP connection at once, without a closing alert."""
        if self._tcp is not None:
            self._tcp.abort()

    def is_closing(self) -> bool:
        """Whether the TCP connection is closed or about to be."""
        return self._tcp is None or self._tcp.is_closing()

    def get_write_buffer_size(self) -> int:
        """Return the bytes that the operating system has not taken yet."""
        if self._tcp is None:
            return 0
        return self._tcp.get_write_buffer_size() + self._session.unsent_bytes

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default if self._tcp is None else self._tcp.get_extra_info(name, default)

    def _resume(self) -> None:
        if self._tcp is not None and not self.is_closing():
            self._tcp.resume_reading()
            self._receive()

    def _receive(self) -> None:
        """Receive the records of the last read, as many as make a piece of work."""
        for number, record in enumerate(self._records, 1):
            if self.is_closing():
                return
            try:
                self._session.receive(record)
            except RefusedTlsError as error:
                self._refuse(error)
                return
            self._advance()
            if self._session.limit_exceeded:
                self._refuse(RefusedTlsError(TOO_MANY_RECORDS))
            elif number == RECORDS_IN_A_PIECE and self._tcp is not None:
                self._tcp.pause_reading()
                self._budget.continue_later(self._resume)
                return

    def _advance(self) -> None:
        """Do all that the records received so far permit."""
        try:
            if not self._session.established:
                self._session.handshake()
                self._complete_handshake()
            self._session.flush()
            while data := self._session.read():
                self._connection.data_received(data)
                if self.is_closing():
                    return
            self._connection.eof_received()
        except ssl.SSLWantReadError:
            self._send_records()
        except ssl.SSLError as error:
            self._send_records()  # the alert that says why
            self._fail(error)

    def _complete_handshake(self) -> None:
        self._connection.connection_made(cast("asyncio.Transport", self))
        if not self.handshake.done():
            self.handshake.set_result(None)

    def _send_records(self) -> None:
        if self._tcp is not None and not self._tcp.is_closing():
            records = self._session.records_to_send()
            if records:
                self._tcp.write(records)

    def _fail(self, error: ssl.SSLError) -> None:
        if self._session.established:
            self._connection.connection_lost(error)
            self._reset()
            return
        closed = isinstance(error, ssl.SSLZeroReturnError)
        # The task that waits for the handshake closes the connection, once the alert is on its way.
        self._fail_handshake(ConnectionResetError() if closed else error)

    def _refuse(self, error: RefusedTlsError) -> None:
        if self._session.established:
            self._connection.reject_response(str(error))
        else:
            self._fail_handshake(error)
        self._reset()

    def _reset(self) -> None:
        if self._tcp is not None:
            reset(self._tcp)

    def _fail_handshake(self, error: Exception) -> None:
        if not self.handshake.done():
            self.handshake.set_exception(error)
