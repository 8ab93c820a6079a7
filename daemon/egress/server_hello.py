"""
A filter for what a TLS server sends up to its ServerHello, applied before OpenSSL reads it.

Rule: no handshake makes us compute a finite-field key. Asked for one of 8,192 bits, OpenSSL would
compute for a seventh of a second, and Python before 3.15 has no way not to offer such groups.
(RFC 8446, sections 4.1.3, 4.2.8 and 5.1.)
"""

RECORD_TYPES = range(20, 24)
RECORD_HEADER_LENGTH = 5
HANDSHAKE = 22

HELLO_REQUEST = b"\x00"
# A HelloRetryRequest is a ServerHello with this in place of its random bytes.
RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
# The extension key_share with a group from 256 to 511: the finite-field ones.
FINITE_FIELD_KEY_SHARE = b"\x00\x33\x00\x02\x01"

FINITE_FIELD_REFUSED = (
    "the receiver asked for a finite-field key exchange; it must accept an elliptic curve"
)
TOO_MANY_RECORDS = "the receiver sent too many TLS records that carry no data"


class ServerHelloFilter:
    """Passes on the server's first records unless they ask for too much work."""

    def __init__(self) -> None:
        self.done = False  # nothing more needs to be filtered
        self.refusal = ""  # why the handshake must end, for the customer
        self._pending = bytearray()  # the beginning of a record
        self._messages = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Return what may be passed on: whole records, or everything as soon as it is `done`."""
        self._pending += data
        passed = 0
        while not (self.done or self.refusal):
            end = self._record_end(passed)
            if end is None or end > len(self._pending):
                break
            if self._pending[passed] == HANDSHAKE:
                self._messages += self._pending[passed + RECORD_HEADER_LENGTH : end]
                self._inspect()
            passed = end
        if self.done:
            passed = len(self._pending)
        allowed = bytes(self._pending[:passed])
        del self._pending[:passed]
        return allowed

    def _record_end(self, start: int) -> int | None:
        """Where the record at `start` ends; None, and perhaps `done`, while no header is there."""
        header = self._pending[start : start + RECORD_HEADER_LENGTH]
        if len(header) < RECORD_HEADER_LENGTH:
            return None
        if header[0] not in RECORD_TYPES or header[1] != 3:
            self.done = True  # OpenSSL knows best what is wrong with it
            return None
        return start + RECORD_HEADER_LENGTH + int.from_bytes(header[3:5])

    def _inspect(self) -> None:
        message = bytes(self._messages)
        if message[:1] == HELLO_REQUEST:
            self.refusal = TOO_MANY_RECORDS  # the hello is under way already; OpenSSL ignores these
        elif len(message) >= 4 and len(message) >= 4 + int.from_bytes(message[1:4]):
            self.done = True
            if message[6:38] == RETRY_RANDOM and FINITE_FIELD_KEY_SHARE in message:
                self.refusal = FINITE_FIELD_REFUSED
