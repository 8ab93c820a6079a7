"""
Heads of small responses that were parsed before: the same bytes mean the same again.

Most responses of an endpoint have one head, or one for each second. The rule: what a head means is
what the parser has made of it, and only a response that arrives whole, with the length that its
head declares, is taken for another one like it.
"""

from daemon.core.model.value import value
from daemon.egress.response_parser import MAX_HEADERS, ResponseParser

END = b"\r\n\r\n"
LONGEST_RESPONSE = 1024  # bytes
MOST_HEADS = 256


@value(frozen=True, slots=True)
class KnownHead:
    """Status and headers, and the length of the body; another response may follow it."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body_bytes: int


class KnownHeads:
    """The heads that were parsed lately, by their bytes."""

    def __init__(self) -> None:
        self._heads: dict[bytes, KnownHead] = {}

    def find(self, data: bytes) -> tuple[KnownHead, bytes] | None:
        """Return head and body of a response that is whole; None if it must be parsed."""
        at = data.find(END) + len(END)
        head = self._heads.get(data[:at])
        if head is None or len(data) - at != head.body_bytes:
            return None
        return head, data[at:]

    def remember(self, data: bytes, parsed: ResponseParser) -> None:
        """Note what was parsed, from this data alone, if its head tells all about it."""
        at = data.find(END) + len(END)
        body = data[at:]
        names = [name.lower() for name, _ in parsed.headers]
        if (
            len(data) > LONGEST_RESPONSE
            or not (parsed.complete and parsed.keep_alive)
            or bytes(parsed.body) != body
            or len(parsed.headers) >= MAX_HEADERS  # there may have been more
            or b"transfer-encoding" in names
            or (b"content-length", b"%d" % len(body))
            not in zip(names, (text for _, text in parsed.headers), strict=True)
        ):
            return
        if len(self._heads) >= MOST_HEADS:
            self._heads.clear()
        self._heads[data[:at]] = KnownHead(parsed.status, tuple(parsed.headers), len(body))


KNOWN_HEADS = KnownHeads()
