"""
TLS between a TCP connection and an HttpConnection: a transport above, a protocol below.

Steps of the handshake run in a thread, other TLS work within the event loop's time budget. While
either waits, nothing more is read.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import cast

from daemon.egress.handshake_threads import Step
from daemon.egress.http1 import HttpConnection
from daemon.egress.loop_budget import OwnBudget
from daemon.egress.resets import reset
from daemon.egress.server_hello import HANDSHAKE, TOO_MANY_RECORDS
from daemon.egress.slow_chains import CHAIN_TOO_SLOW, LONGEST_HANDSHAKE_SECONDS
from daemon.egress.tls_session import RefusedTlsError, TlsSession

# Of records with a byte of data each, these take half a millisecond; one read may bring 12,000.
RECORDS_IN_A_PIECE = 64


class TlsTransport(asyncio.Protocol):
    """
    The HttpConnection's transport; `handshake` is set once the receiver has proved its name.

    `run_step` runs steps of this tenant's handshakes, and `report_slow` is called when those of
    this connection took too long, which may be long after it was closed.
    """

    def __init__(
        self,
        connection: HttpConnection,
        session: TlsSession,
        *,
        budget: OwnBudget,
        run_step: Callable[[Step], None],
        report_slow: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._session = session  # while a step is under way, the thread's
        self._budget = budget
        self._run_step = run_step
        self._report_slow = report_slow
        self._in_step = False
        self._result: bytes | Exception | None = None  # of the last step; None: handshake complete
        self._steps_seconds = 0.0  # of CPU time, since the last request
        self._records: Iterator[bytes] = iter(())  # of the last read, those still to be received
        self._early = b""  # what came during a step
        self._tcp: asyncio.Transport | None = None
        self.handshake: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio.Transport.
        self._tcp = cast("asyncio.Transport", transport)
        self._begin_step()

    def data_received(self, data: bytes) -> None:
        assert self._tcp is not None
        if self._in_step:
            # The receiver speaks first, or reading was not paused yet: this is one read or two.
            self._early += data
            self._tcp.pause_reading()
            return
        self._records = self._session.records(data)
        if not self._session.established:
            self._receive_handshake()
        elif not self._budget.try_run(self._receive):
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

    def writelines(self, parts: Sequence[bytes]) -> None:
        """Encrypt and send one whole request."""
        self._steps_seconds = 0.0
        self._session.queue(parts)
        if not self._in_step:
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

    def _receive_handshake(self) -> None:
        """Receive all records of the last read, which the limit on a handshake bounds."""
        received = False
        for record in self._records:
            if not self._take(record) or not self._within_limits():
                return
            received = True
        if received:
            self._begin_step()

    def _receive(self) -> None:
        """Receive the records of the last read, as many as make a piece of work."""
        for number, record in enumerate(self._records, 1):
            if self.is_closing() or not self._take(record):
                return
            if record[0] == HANDSHAKE:
                # With TLS 1.2 a server may ask for another handshake, and send its chain again.
                if self._within_limits():
                    self._begin_step()
                return
            self._advance()
            if self._within_limits() and number == RECORDS_IN_A_PIECE and self._tcp is not None:
                self._tcp.pause_reading()
                self._budget.continue_later(self._resume)
                return

    def _take(self, record: bytes) -> bool:
        """Hand a record to the session; False if that refuses it."""
        try:
            self._session.receive(record)
        except RefusedTlsError as error:
            self._refuse(error)
            return False
        return True

    def _within_limits(self) -> bool:
        if self._session.limit_exceeded:
            self._refuse(RefusedTlsError(TOO_MANY_RECORDS))
            return False
        return True

    def _resume(self) -> None:
        """Go on with what was received already, and read more."""
        if self._tcp is None or self.is_closing():
            return
        self._tcp.resume_reading()
        if self._early:
            early, self._early = self._early, b""
            self.data_received(early)
        else:
            self._receive()

    def _begin_step(self) -> None:
        """Let a thread do all that the records received so far permit; until then, read nothing."""
        assert self._tcp is not None
        self._in_step = True
        self._tcp.pause_reading()
        self._run_step(Step(self._do_step, self._end_step, lambda: not self.is_closing()))

    def _do_step(self) -> None:
        """In a thread."""
        try:
            if self._session.established:
                self._result = self._session.read()
            else:
                self._session.handshake()
        except Exception as error:  # noqa: BLE001 - `_end_step` judges it, in the event loop
            self._result = error

    def _end_step(self, seconds: float) -> None:
        result, self._result = self._result, None
        self._in_step = False
        self._steps_seconds += seconds
        if self._steps_seconds > LONGEST_HANDSHAKE_SECONDS:
            self._report_slow()
            result = RefusedTlsError(CHAIN_TOO_SLOW)
        if self.is_closing():
            return
        if isinstance(result, RefusedTlsError):
            self._refuse(result)
        elif isinstance(result, ssl.SSLWantReadError):
            self._advance() if self._session.established else self._send_records()
            self._resume()
        elif isinstance(result, Exception):
            self._send_records()  # the alert that says why
            self._fail(result)
        else:
            self._complete_step(result)
            self._resume()

    def _complete_step(self, data: bytes | None) -> None:
        """Pass on the data that a step has read; None: it has completed the handshake."""
        if data is None:
            self._session.complete_handshake()
            self._connection.connection_made(cast("asyncio.Transport", self))
            if not self.handshake.done():
                self.handshake.set_result(None)
        elif data:
            self._connection.data_received(data)
        else:
            self._connection.eof_received()
            return
        if not self.is_closing():
            self._advance()

    def _advance(self) -> None:
        """Do all that the records received so far permit, after the handshake."""
        try:
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

    def _send_records(self) -> None:
        if self._tcp is not None and not self._tcp.is_closing():
            records = self._session.records_to_send()
            if records:
                self._tcp.writelines(records)

    def _fail(self, error: Exception) -> None:
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
