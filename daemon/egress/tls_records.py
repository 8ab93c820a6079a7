"""Splits a byte stream into TLS records, whatever the pieces in which it arrives."""

from collections.abc import Iterator

HEADER_LENGTH = 5
RECORD_TYPES = range(20, 24)
# RFC 5246, section 6.2.3; TLS 1.3 allows 256 bytes beyond 16 KiB (RFC 8446, section 5.2).
MAX_RECORD_BYTES = HEADER_LENGTH + 16 * 1024 + 2048


class RecordSplitter:
    """
    Keeps the beginning of a record until the rest of it arrives, so 18 KiB at most.

    Bytes that are no record are passed on as they are: OpenSSL knows best what is wrong with them.
    """

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the records that `data` completes."""
        data = self._pending + data
        start = 0
        try:
            while (end := _record_end(data, start)) is not None and end <= len(data):
                record = data[start:end]
                start = end
                yield record
        finally:
            self._pending = data[start:]


def _record_end(data: bytes, start: int) -> int | None:
    """Where the record at `start` ends; None while its header is incomplete."""
    if len(data) - start < HEADER_LENGTH:
        return None
    length = HEADER_LENGTH + int.from_bytes(data[start + 3 : start + 5])
    is_record = data[start] in RECORD_TYPES and data[start + 1] == 3
    return start + length if is_record and length <= MAX_RECORD_BYTES else len(data)
