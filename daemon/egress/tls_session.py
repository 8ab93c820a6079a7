"""
The TLS of one connection without I/O: records and plaintext, in and out, within limits.

Rule: a receiver is untrusted. OpenSSL accepts records that carry no response (HelloRequests,
session tickets, key updates) without end, and they cost us more than they cost the sender.
"""

import ssl
from collections.abc import Iterator, Sequence

from daemon.egress.server_hello import ServerHelloFilter
from daemon.egress.tls_records import RecordSplitter

# Certificates included. Servers send 2 to 8 KiB.
MAX_HANDSHAKE_BYTES = 32 * 1024
# Since the last request, in records that carry no data: session tickets, key updates.
MAX_OVERHEAD_BYTES = 16 * 1024
# Each of them counts as so many bytes more: thousands of short ones would cost us milliseconds.
RECORD_COST_BYTES = 64
# Of one response: a body of 16 KiB in chunks of 16 bytes, each written in three parts.
MAX_DATA_RECORDS = 4096
MAX_PLAINTEXT_BYTES = 16 * 1024  # of one record


class RefusedTlsError(Exception):
    """The handshake would cost more than any honest one; `str()` is for the customer."""


class TlsSession:
    """One client session; the caller carries its records to and from the network."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self.established = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._splitter = RecordSplitter()
        self._server_hello = ServerHelloFilter()
        self._overhead_left = MAX_HANDSHAKE_BYTES
        self._data_records_left = MAX_DATA_RECORDS
        self._record_cost = 0  # of the record that was received last
        self._unsent: list[memoryview] = []  # the pieces of a request, each for one record
        self._records: list[bytes] = []

    @property
    def limit_exceeded(self) -> bool:
        """Whether more was received than any honest server sends; checked after each record."""
        return self._overhead_left < 0 or self._data_records_left < 0

    @property
    def unsent_bytes(self) -> int:
        """How much of the plaintext is not encrypted yet."""
        return sum(map(len, self._unsent))

    def records(self, data: bytes) -> Iterator[bytes]:
        """Yield the records that bytes from the network complete, for `receive`."""
        return self._splitter.feed(data)

    def receive(self, record: bytes) -> None:
        """
        Take one record; what it costs is refunded by `read` if it carries data.

        Raises RefusedTlsError when the server's hello must not be answered.
        """
        self._record_cost = len(record) + RECORD_COST_BYTES
        self._overhead_left -= self._record_cost
        if not self._server_hello.done:
            self._server_hello.inspect(record)
            if self._server_hello.refusal:
                raise RefusedTlsError(self._server_hello.refusal)
        self._incoming.write(record)

    def handshake(self) -> None:
        """
        Go on with the handshake, which may take a minute of CPU time: in a thread.

        Raises ssl.SSLWantReadError, or another ssl.SSLError.
        """
        self._tls.do_handshake()

    def complete_handshake(self) -> None:
        """Go over to requests and responses."""
        self.established = True
        self._renew_limits()

    def queue(self, parts: Sequence[bytes]) -> None:
        """Take a request for `flush`, which renews the limits on what its response may cost."""
        self._renew_limits()
        self._unsent = [
            memoryview(part)[at : at + MAX_PLAINTEXT_BYTES]
            for part in parts
            for at in range(0, len(part), MAX_PLAINTEXT_BYTES)
        ]

    def flush(self) -> None:
        """Encrypt the queued request. Raises ssl.SSLWantReadError, or another ssl.SSLError."""
        while self._unsent:
            self._tls.write(self._unsent[0])
            del self._unsent[0]
            # A memory buffer of OpenSSL never shrinks: what it held at once, it takes for ever.
            self._records.append(self._outgoing.read())

    def read(self) -> bytes:
        """
        Return some plaintext, or nothing at the server's closing alert.

        Raises ssl.SSLWantReadError when none is there yet, or another ssl.SSLError.
        """
        data = self._tls.read(MAX_PLAINTEXT_BYTES)
        if data:
            self._overhead_left += self._record_cost
            self._record_cost = 0
            self._data_records_left -= 1
        return data

    def records_to_send(self) -> list[bytes]:
        """Return the records that the network has to take next, if there are any."""
        records, self._records = self._records, []
        if self._outgoing.pending:
            records.append(self._outgoing.read())
        return records

    def _renew_limits(self) -> None:
        self._overhead_left, self._data_records_left = MAX_OVERHEAD_BYTES, MAX_DATA_RECORDS
