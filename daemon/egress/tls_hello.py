"""The receiver's side of a TLS hello, looked at before OpenSSL takes it."""

RECORDS = range(20, 24)


HANDSHAKE = 22


REQUEST_FOR_HELLO = b"\x00"


RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


FINITE_FIELD = b"\x00\x33\x00\x02\x01"  # the extension key_share with a group from 256 on


TOO_LARGE = "the receiver wants keys that take too long to reckon"


TOO_MUCH = "the receiver sends TLS records without an end"


class Greeting:
    """
    What a server says in the clear until it has said hello; read before OpenSSL reads it.

    Asked for a key of 8,192 bits it would reckon for a seventh of a second, and Python before 3.15
    cannot tell it not to offer such. (RFC 8446, sections 4.1.3, 4.2.8 and 5.1.)
    """

    def __init__(self) -> None:
        self.over = False
        self.refused = ""  # why, for the customer
        self._held = bytearray()
        self._messages = bytearray()

    def read(self, data: bytes) -> bytes:
        """What of it all may be passed on: whole records, or everything once it is no greeting."""
        self._held += data
        at = 0
        while not (self.over or self.refused) and len(self._held) - at >= 5:
            kind, major, length = self._held[at], self._held[at + 1], self._held[at + 3 : at + 5]
            end = at + 5 + int.from_bytes(length)
            if kind not in RECORDS or major != 3:
                self.over = True  # OpenSSL knows best what is wrong with it
            elif end > len(self._held):
                break
            else:
                if kind == HANDSHAKE:
                    self._messages += self._held[at + 5 : end]
                    self._look()
                at = end
        if self.over:
            at = len(self._held)
        passed = bytes(self._held[:at])
        del self._held[:at]
        return passed

    def _look(self) -> None:
        hello = bytes(self._messages)
        if hello[:1] == REQUEST_FOR_HELLO:
            self.refused = TOO_MUCH  # to say hello is what we are about; OpenSSL would skip it
        elif len(hello) >= 4 and len(hello) >= 4 + int.from_bytes(hello[1:4]):
            self.over = True
            if hello[6:38] == RETRY and FINITE_FIELD in hello:
                self.refused = TOO_LARGE
