"""
A filter for what a TLS server sends up to its ServerHello, applied before OpenSSL reads it.

Rule: no handshake makes us compute a finite-field key. Asked for one of 8,192 bits, OpenSSL would
compute for a seventh of a second, and Python before 3.15 has no way not to offer such groups.
(RFC 8446, sections 4.1.3, 4.2.8 and 5.1.)
"""

from daemon.egress.tls_records import HEADER_LENGTH

HANDSHAKE = 22

HELLO_REQUEST = b"\x00"
# A HelloRetryRequest is a ServerHello with this in place of its random bytes.
RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
# The extension key_share with a group from 256 to 511: the finite-field ones.
FINITE_FIELD_KEY_SHARE = b"\x00\x33\x00\x02\x01"

FINITE_FIELD_REFUSED = (
    "the receiver asked for a finite-field key exchange; it must accept an elliptic curve"
)
TOO_MANY_RECORDS = "the receiver sent too many TLS records with little or no data"


class ServerHelloFilter:
    """Inspects the server's first records, until its ServerHello is complete."""

    def __init__(self) -> None:
        self.done = False  # nothing more needs to be inspected
        self.refusal = ""  # why the handshake must end, for the customer
        self._messages = bytearray()

    def inspect(self, record: bytes) -> None:
        """Look at one whole record, and set `done` or `refusal`."""
        if record[0] != HANDSHAKE:
            return
        self._messages += record[HEADER_LENGTH:]
        message = bytes(self._messages)
        if message[:1] == HELLO_REQUEST:
            self.refusal = TOO_MANY_RECORDS  # the hello is under way already; OpenSSL ignores these
        elif len(message) >= 4 and len(message) >= 4 + int.from_bytes(message[1:4]):
            self.done = True
            if message[6:38] == RETRY_RANDOM and FINITE_FIELD_KEY_SHARE in message:
                self.refusal = FINITE_FIELD_REFUSED
