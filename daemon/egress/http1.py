"""
An HTTP/1.1 connection to one receiver, which carries one request and response after another.

Rule: a receiver is untrusted. Bytes that no request asked for end the connection.
"""

import asyncio
import fcntl
import select
import struct
import termios
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from daemon.egress.deadline import Deadline
from daemon.egress.long_responses import OwnLongResponses
from daemon.egress.loop_budget import OwnBudget
from daemon.egress.resets import reset
from daemon.egress.response_reader import NO_RESPONSE, RawResponse, ResponseError, ResponseReader
from daemon.egress.routes import SocketAddress

# An ordinary response, which is read at once; a larger one may take a millisecond, at its end too.
SMALL_BYTES = 1024


class HttpConnection(asyncio.Protocol):
    """
    A connection to a receiver, over TCP, or over a TlsTransport.

    Large responses are read within the event loop's `budget`; a TlsTransport does so by itself.
    `long` are its tenant's long responses.
    """

    def __init__(
        self, *, budget: OwnBudget | None = None, long: OwnLongResponses | None = None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._budget = budget
        self._long = long
        self.destination: SocketAddress | None = None  # set once the connection is open
        self._transport: asyncio.Transport | None = None
        self._unread = select.poll()
        self._response: ResponseReader | None = None

    @property
    def usable(self) -> bool:
        """
        Whether a request may be sent on this connection.

        The operating system is asked too: an unread end of the connection, or unread bytes, which
        would pass for the next response, make it unusable.
        """
        return self.is_open and not self._unread.poll(0)

    async def exchange(self, request: Sequence[bytes], *, deadline: Deadline) -> RawResponse:
        """
        Send the parts of a request and wait for its response.

        A second time only if the first response was `reusable`.

        Raises ResponseError, or TimeoutError at the deadline; then, and when cancelled, the
        connection is closed.
        """
        if self._transport is None or self._transport.is_closing():
            raise ResponseError(NO_RESPONSE, response_started=False)
        completion: asyncio.Future[None] = self._loop.create_future()
        response = self.begin(request, partial(_complete, completion))
        del request  # a copy, if it is short
        # Not `deadline.limit`: asyncio.timeout would cost a tenth of the whole exchange.
        deadline.start(response.expire)
        try:
            await completion
        except (asyncio.CancelledError, TimeoutError):
            self.close()
            raise
        finally:
            deadline.stop()
        return self.result_of(response)

    def begin(
        self, request: Sequence[bytes], ended: Callable[[Exception | None], None]
    ) -> ResponseReader:
        """Send a request's parts on a connection that is `usable`; `ended` as ResponseReader's."""
        assert self._transport is not None
        response = self._response = ResponseReader(ended, long=self._long)
        self._transport.writelines(request)
        return response

    def result_of(self, response: ResponseReader) -> RawResponse:
        """Return the response to the last request, which is complete or truncated."""
        # The receiver may have responded before we had sent everything.
        reusable = response.keep_alive and self.is_open and self._unsent_bytes() == 0
        return response.result(reusable=reusable)

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed it."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def awaits_receiver(self) -> bool:
        """Whether its receiver, which has responded, will close it, or has not read everything."""
        response = self._response
        return (
            self.is_open
            and response is not None
            and response.complete
            and (not response.keep_alive or self._unacknowledged_bytes() > 0)
        )

    def close(self) -> None:
        """
        Reset it, unsent bytes too: a receiver that does not read must not hold memory.

        The response is read by then, or given up.
        """
        if self._transport is not None:
            reset(self._transport)

    def abort(self) -> None:
        """Close it at once in the ordinary way, in which its port stays taken for a minute."""
        if self._transport is not None:
            self._transport.abort()

    def reject_response(self, message: str) -> None:
        """Fail the response because the transport refuses to read on; `message` says why."""
        if self._response is not None:
            self._response.reject(message)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio.Transport.
        self._transport = cast("asyncio.Transport", transport)
        self._unread.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        response = self._response
        if response is None or response.done:
            # Unsolicited. On a kept connection it would be read as the next request's response.
            self.close()
        elif self._budget is None or response.received_bytes + len(data) <= SMALL_BYTES:
            response.feed(data)
        elif not self._budget.try_run(partial(response.feed, data)):
            assert self._transport is not None
            self._transport.pause_reading()
            self._budget.run_later(partial(self._resume, response, data))

    def eof_received(self) -> None:
        if self._response is not None:
            self._response.end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._response is not None:
            self._response.end(reset=exc is not None)

    def _resume(self, response: ResponseReader, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            response.feed(data)

    def _unsent_bytes(self) -> int:
        """How much of the request the operating system has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def _unacknowledged_bytes(self) -> int:
        """How much of the request has not reached the receiver's machine, as far as we know."""
        assert self._transport is not None
        descriptor = self._transport.get_extra_info("socket").fileno()
        queued = fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4))
        return self._unsent_bytes() + int(struct.unpack("i", queued)[0])


def _complete(completion: asyncio.Future[None], error: Exception | None) -> None:
    if completion.done():  # cancelled
        return
    if error is None:
        completion.set_result(None)
    else:
        completion.set_exception(error)
