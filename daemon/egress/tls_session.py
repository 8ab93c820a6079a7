"""
The TLS of one connection without I/O: records and plaintext, in and out, within limits.

Rule: a receiver is untrusted. OpenSSL accepts records that carry no response (HelloRequests,
session tickets, key updates) without end, and they cost us more than they cost the sender.
"""

import ssl

from daemon.egress.server_hello import ServerHelloFilter

# Certificates included. Servers send 2 to 8 KiB.
MAX_HANDSHAKE_BYTES = 32 * 1024
# What may be received since the last request beyond the plaintext: record headers, tickets.
MAX_OVERHEAD_BYTES = 16 * 1024
# Each record counts as so many bytes more: thousands of short ones would cost us milliseconds.
RECORD_COST_BYTES = 64
VERSIONS = (b"\x03\x00", b"\x03\x01", b"\x03\x02", b"\x03\x03")
# The longest record. No more than this is given to OpenSSL between two checks of the limits.
PIECE_BYTES = 16 * 1024


class RefusedTlsError(Exception):
    """The handshake would cost more than any honest one; `str()` is for the customer."""


class TlsSession:
    """One client session; the caller carries its records to and from the network."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self.established = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._server_hello = ServerHelloFilter()
        self._allowance = MAX_HANDSHAKE_BYTES
        self._unsent = b""

    @property
    def limit_exceeded(self) -> bool:
        """Whether more was received than any honest server sends; checked after each piece."""
        return self._allowance < 0

    @property
    def unsent_bytes(self) -> int:
        """How much of the plaintext is not encrypted yet."""
        return len(self._unsent)

    def receive(self, records: bytes) -> None:
        """
        Take up to PIECE_BYTES from the network.

        Raises RefusedTlsError when the server's hello must not be answered.
        """
        self._allowance -= len(records) + RECORD_COST_BYTES * _count_records(records)
        hello = self._server_hello
        self._incoming.write(records if hello.done else hello.feed(records))
        if hello.refusal:
            raise RefusedTlsError(hello.refusal)

    def handshake(self) -> None:
        """Go on with the handshake. Raises ssl.SSLWantReadError, or another ssl.SSLError."""
        self._tls.do_handshake()
        self.established = True
        self._allowance = MAX_OVERHEAD_BYTES

    def queue(self, plaintext: bytes) -> None:
        """Take a request for `flush`, which renews the allowance for what its response may cost."""
        self._allowance = MAX_OVERHEAD_BYTES
        self._unsent = plaintext

    def flush(self) -> None:
        """Encrypt the queued request. Raises ssl.SSLWantReadError, or another ssl.SSLError."""
        if self._unsent:
            self._tls.write(self._unsent)
            self._unsent = b""

    def read(self) -> bytes:
        """
        Return some plaintext, or nothing at the server's closing alert.

        Raises ssl.SSLWantReadError when none is there yet, or another ssl.SSLError.
        """
        data = self._tls.read(PIECE_BYTES)
        self._allowance += len(data)
        return data

    def records_to_send(self) -> bytes:
        """Return the records that the network has to take next."""
        return self._outgoing.read()


def _count_records(data: bytes) -> int:
    """About how many records begin here: each header holds a version, and little else does."""
    return sum(map(data.count, VERSIONS))
